// Files to documents: {id, text}, the way `rasd classify` reads them.

import { t } from "./i18n.js";

const MEGABYTES = 8;
const SEPARATORS = [",", ";", "\t"];
const LINE_END = /\r\n|\n|\r/;

// The columns of tables that rasd writes, and what begins a cell that has an apostrophe in front so
// that no spreadsheet runs it (serving/files/csv_cells.py).
const OURS = [
  ["doc_id", "sentence", "start", "end", "text", "label"],
  ["text", "label", "annotator", "predicted", "model", "note"],
  ["id", "text", "label", "suggested", "probability", "model"],
  ["rank", "kind", "file", "line", "text", "label", "suggested"],
];
const NEUTRAL = /^'+[=+\-@\t\r\n＝＋－＠]/;

/** Return {documents, notes}; throw an Error whose message says which file and line is wrong. */
export async function readFiles(files) {
  const documents = [];
  const notes = [];
  for (const file of files) {
    const name = file.name;
    const inner = name.replace(/\.gz$/i, "");
    const read = READERS[inner.split(".").at(-1).toLowerCase()];
    if (!read || !inner.includes(".")) throw new Error(t("wrongKind", { name }));
    const { text, encoding } = decode(name, await bytesOf(file, inner !== name));
    if (encoding) notes.push(t("oldEncoding", { name, encoding }));
    // Not `push(...)`: a call takes about a hundred thousand arguments, and a file may have more.
    for (const document of read(name, text)) documents.push(document);
  }
  return { documents, notes };
}

/** Return the bytes of a file, decompressed; stop as soon as there are too many. */
async function bytesOf(file, compressed) {
  const { name } = file;
  const stream = compressed ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream();
  const pieces = [];
  let size = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new Error(t("damaged", { name }));
    });
    if (done) return new Uint8Array(await new Blob(pieces).arrayBuffer());
    pieces.push(value);
    size += value.length;
    if (size > MEGABYTES * 2 ** 20) {
      reader.cancel().catch(() => {});
      throw new Error(t("tooBig", { name, n: MEGABYTES }));
    }
  }
}

/** Return the text, and the encoding unless it is UTF-8: UTF-16 with a byte order mark, or
 * Windows-1256 if nearly all that is not ASCII reads as Arabic. */
function decode(name, bytes) {
  const encoding = { "255,254": "UTF-16LE", "254,255": "UTF-16BE" }[bytes.slice(0, 2).join()];
  if (encoding) return { text: new TextDecoder(encoding).decode(bytes), encoding };
  const nul = bytes.indexOf(0);
  if (nul >= 0) throw wrong(name, lineAt(bytes, nul), "notText");
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    const text = new TextDecoder("windows-1256").decode(bytes);
    const foreign = [...text].filter((c) => c > "\x7f");
    const arabic = foreign.filter((c) => /\p{Script_Extensions=Arabic}/u.test(c));
    if (arabic.length < 0.8 * foreign.length) throw new Error(t("notUtf8", { name }));
    return { text, encoding: "Windows-1256" };
  }
}

const lineAt = (bytes, end) => bytes.subarray(0, end).reduce((n, byte) => n + (byte === 10), 1);

const READERS = {
  txt: (name, text) => [{ id: name, text }],
  jsonl: readJsonLines,
  ndjson: readJsonLines,
  json: readJson,
  csv: (name, text) => readTable(name, text),
  tsv: (name, text) => readTable(name, text, "\t"),
};

function readJsonLines(name, text) {
  return text.split("\n").flatMap((line, index) =>
    line.trim() ? [toDocument(name, index + 1, index + 1, parse(name, index + 1, line))] : []);
}

/** Read a JSON array of objects, one object, or one object on each line. */
function readJson(name, text) {
  if (!text.trim()) return [];
  let value;
  try {
    value = JSON.parse(text, exactNumbers);
  } catch (error) {
    if (text.trimStart().startsWith("{")) return readJsonLines(name, text);
    throw wrong(name, 1, "notJson");
  }
  if (!Array.isArray(value)) return [toDocument(name, 1, 1, value)];
  return value.map((item, index) => toDocument(name, 1, index + 1, item));
}

function parse(name, line, text) {
  try {
    return JSON.parse(text, exactNumbers);
  } catch {
    throw wrong(name, line, "notJson");
  }
}

/** Keep the digits of a number that JavaScript would round: an id may be one. */
const exactNumbers = (key, value, context) =>
  typeof value === "number" && !Number.isSafeInteger(value) && context ? context.source : value;

function readTable(name, text, separator) {
  const [header, ...rows] = csvRows(name, text, separator);
  if (!header) return [];
  const columns = header.cells.map((column) => column.trim());
  if (!columns.includes("text")) throw wrong(name, header.line, "noText");
  const twice = columns.find((column, i) => column && columns.indexOf(column) !== i);
  if (twice) throw wrong(name, header.line, "twoColumns", { column: twice });
  const ours = OURS.some((names) => names.every((column) => columns.includes(column)));
  const original = (cell) => (ours && NEUTRAL.test(cell) ? cell.slice(1) : cell);
  return rows.map(({ cells, line }) => {
    if (cells.length !== columns.length) throw wrong(name, line, "wrongCells");
    return toDocument(name, line, line, Object.fromEntries(columns.map((column, i) => [column, original(cells[i])])));
  });
}

/** Return [{cells, line}] of RFC 4180 text; rows without any cell are passed over. */
function csvRows(name, text, separator) {
  const rows = [];
  let cells = [];
  let line = 1;
  const excel = /^\s*"?sep=(.)"?[ \t]*(?:\r\n|\n|\r|$)/i.exec(text);
  if (excel) line += excel[0].split(LINE_END).length - 1;
  const sign = excel?.[1] ?? separator ?? separatorOf(text);
  let start = line;
  const quotedSign = `\\u{${sign.codePointAt(0).toString(16)}}`;
  const cell = new RegExp(
    String.raw`(?:"((?:[^"]|"")*)"|([^"${quotedSign}\r\n][^${quotedSign}\r\n]*|))(${quotedSign}|\r\n|\n|\r|$)`, "uy");
  cell.lastIndex = excel ? excel[0].length : 0;
  while (cell.lastIndex < text.length || cells.length) {
    const match = cell.exec(text);
    if (!match) throw wrong(name, start, "openQuote");
    const [all, quoted, bare, end] = match;
    line += (all.match(/\r\n|\n|\r/g) ?? []).length;
    cells.push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end === sign) continue;
    if (cells.some(Boolean)) rows.push({ cells, line: start });
    cells = [];
    start = line;
  }
  return rows;
}

/** Return the sign that finds `text` in the header, and otherwise most cells. */
function separatorOf(text) {
  const header = text.split(LINE_END).find((line) => line.trim()) ?? "";
  const score = (sign) => {
    const cells = header.split(sign).map((cell) => cell.trim().replace(/^"\s*|\s*"$/g, ""));
    return (cells.includes("text") ? header.length + 1 : 0) + cells.length;
  };
  return SEPARATORS.reduce((best, sign) => (score(sign) > score(best) ? sign : best));
}

function toDocument(name, line, number, fields) {
  if (fields === null || typeof fields !== "object" || Array.isArray(fields)) {
    throw wrong(name, line, "notJson");
  }
  const { id, text } = fields;
  if (typeof text !== "string") throw wrong(name, line, "noText");
  if (id !== null && typeof id === "object") throw wrong(name, line, "badId");
  return { id: id === undefined || id === null || id === "" ? `${name}:${number}` : String(id), text };
}

const wrong = (name, line, what, values) => new Error(t("badLine", { name, line, what: t(what, values) }));
