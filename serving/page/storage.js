// What the browser keeps for the page. Where it blocks that, values last until the page is left.

const inMemory = () => {
  const values = new Map();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => { values.set(key, value); },
    removeItem: (key) => { values.delete(key); },
  };
};

function storage(name) {
  try {
    return window[name] ?? inMemory();
  } catch { // a SecurityError
    return inMemory();
  }
}

/** Settings: kept for later visits. */
export const settings = storage("localStorage");

/** The API key: kept for the tab. */
export const session = storage("sessionStorage");
