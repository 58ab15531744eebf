// The page's state: the model's labels, the labelled sentences, filter and selection.

export const state = {
  model: null,
  documents: [], // {id, text, sentences: [record]}
  records: [], // of all documents, in order
  filter: new Set(), // label names and "uncertain"; empty shows everything
  view: "text",
  sort: { key: "number", falling: false },
  selected: -1, // index into records
};

/** The current label of a record: a correction takes precedence over the model. */
export const labelOf = (record) => record.correction ?? record.label;

export const labelIndex = (name) => state.model.labels.findIndex((label) => label.name === name);

export const isUncertain = (record) =>
  record.label !== null && !record.certain && record.correction === undefined;

/** Whether the filter shows a record: it has any chosen label, and is uncertain if that is chosen. */
export function isShown(record) {
  const labels = [...state.filter].filter((name) => name !== "uncertain");
  if (state.filter.has("uncertain") && !isUncertain(record)) return false;
  return labels.length === 0 || labels.includes(labelOf(record));
}

export const isPlain = (name) => name === "other" || name === null;
