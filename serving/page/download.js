// Records to files in the formats of `rasd classify`, with a field `correction` where there is one.

const COLUMNS = [
  "doc_id", "sentence", "start", "end", "text", "label", "probability", "certain",
  "probabilities", "model", "truncated", "error",
];

export function jsonLines(records) {
  return records
    .map((record) => `${JSON.stringify(record).replace(/[\u2028\u2029\u007f-\u009f]/g, escaped)}\n`)
    .join("");
}

// A spreadsheet runs a cell that begins with one of these as a formula. An apostrophe in front
// prevents it; serving/files/csv_cells.py has the same rule.
const FORMULA = /^'*[=+\-@\t\r\n＝＋－＠]/;

export function csv(records) {
  const columns = records.some((record) => record.correction) ? [...COLUMNS, "correction"] : COLUMNS;
  const rows = records.map((record) => columns.map((name) => cell({ truncated: false, ...record }[name])));
  // Excel needs the byte order mark to read Arabic.
  return `\ufeff${[columns, ...rows].map((row) => `${row.join(",")}\r\n`).join("")}`;
}

function cell(value) {
  if (value === null || value === undefined) return "";
  let text = typeof value === "object" ? JSON.stringify(value) : String(value);
  if (FORMULA.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const escaped = (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;

export function save(content, type, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = `rasd-${new Date().toLocaleDateString("sv")}.${suffix}`; // Swedish: 2026-11-30
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
