// What the page knows: the model's labels, the labelled sentences, what is shown and selected.

export const state = {
  model: null,
  documents: [], // {id, text, sentences: [record]}
  records: [], // of all documents, in order
  filter: new Set(), // label names and "uncertain"; empty shows everything
  view: "text",
  sort: { key: "number", falling: false },
  selected: -1, // index into records
};

/** The label a record has now: an analyst's word counts more than the model's. */
export const labelOf = (record) => record.correction ?? record.label;

export const labelIndex = (name) => state.model.labels.findIndex((label) => label.name === name);

export const isUncertain = (record) =>
  record.label !== null && !record.certain && record.correction === undefined;

/** Whether the filter lets a record through: any of the labels, and uncertain if that is asked. */
export function isShown(record) {
  const labels = [...state.filter].filter((name) => name !== "uncertain");
  if (state.filter.has("uncertain") && !isUncertain(record)) return false;
  return labels.length === 0 || labels.includes(labelOf(record));
}

export const isPlain = (name) => name === "other" || name === null;
