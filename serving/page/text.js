// Unicode: the service counts code points, JavaScript counts UTF-16 units.

export function codePoints(text) {
  let count = text.length;
  for (const pair of text.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g)) count -= pair.length;
  return count;
}

/** Return the UTF-16 index of each code-point offset; `offsets` must be ascending. */
export function unitOffsets(text, offsets) {
  const units = [];
  let unit = 0;
  let point = 0;
  for (const offset of offsets) {
    while (point < offset && unit < text.length) {
      unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
      point += 1;
    }
    units.push(unit);
  }
  return units;
}

/** The direction of most letters, so that one Latin word at the start does not change it. */
export function direction(text) {
  const part = text.slice(0, 20000);
  const arabic = part.match(/\p{Script=Arabic}/gu)?.length ?? 0;
  const latin = part.match(/\p{Script=Latin}/gu)?.length ?? 0;
  return arabic >= latin ? "rtl" : "ltr";
}

/** Cut a text into pieces of at most `size` units: at an empty line, a line, a stop, a space. */
export function pieces(text, size) {
  const found = [];
  let rest = text;
  while (rest.length > size) {
    const head = rest.slice(0, size);
    let cut = 0;
    for (const mark of [/\n\s*\n/g, /\n/g, /[.!?؟]\s/g, /\s/g]) {
      for (const match of head.matchAll(mark)) cut = match.index + match[0].length;
      if (cut > size / 4) break;
    }
    if (!cut) cut = size - (/[\ud800-\udbff]/.test(head.at(-1)) ? 1 : 0);
    found.push(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  return [...found, rest];
}
