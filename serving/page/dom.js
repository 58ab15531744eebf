// Elements in one expression; text is always text, never markup.

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name === "data") Object.assign(made.dataset, value);
    else if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  // One by one, since a call takes about a hundred thousand arguments. An array is several children.
  for (const child of children.flat()) if (child !== null && child !== undefined) made.append(child);
  return made;
}

export const byId = (id) => document.getElementById(id);
