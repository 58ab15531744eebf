// Files to documents: {id, text} of .txt, .jsonl and .csv, the way `rasd classify` reads them.

import { t } from "./i18n.js";

const MEGABYTES = 8;

/** Return {documents, notes}; throw an Error whose message says which file and line is wrong. */
export async function readFiles(files) {
  const documents = [];
  const notes = [];
  for (const file of files) {
    const name = file.name;
    if (file.size > MEGABYTES * 2 ** 20) throw new Error(t("tooBig", { name, n: MEGABYTES }));
    const read = READERS[name.split(".").at(-1).toLowerCase()];
    if (!read) throw new Error(t("wrongKind", { name }));
    const { text, old } = decode(new Uint8Array(await file.arrayBuffer()));
    if (old) notes.push(t("oldEncoding", { name }));
    documents.push(...read(name, text));
  }
  return { documents, notes };
}

/** UTF-8, UTF-16 where a byte order mark says so, and otherwise the old encoding of Arabic. */
export function decode(bytes) {
  const mark = { "255,254": "utf-16le", "254,255": "utf-16be" }[bytes.slice(0, 2).join()];
  if (mark) return { text: new TextDecoder(mark).decode(bytes), old: false };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), old: false };
  } catch {
    return { text: new TextDecoder("windows-1256").decode(bytes), old: true };
  }
}

const READERS = {
  txt: (name, text) => [{ id: name, text }],
  jsonl: readJsonLines,
  csv: readCsv,
};

function readJsonLines(name, text) {
  const documents = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (!line.trim()) continue;
    let fields = null;
    try {
      fields = JSON.parse(line);
    } catch { /* told below */ }
    if (fields === null || typeof fields !== "object" || Array.isArray(fields)) {
      throw wrong(name, index + 1, "notJson");
    }
    documents.push(toDocument(name, index + 1, fields));
  }
  return documents;
}

function readCsv(name, text) {
  const [header, ...rows] = csvRows(name, text);
  if (!header) return [];
  return rows.map(({ cells, line }) =>
    toDocument(name, line, Object.fromEntries(header.cells.map((key, i) => [key.trim(), cells[i]]))));
}

/** Return [{cells, line}] of RFC 4180 text, whose first line shows what separates its cells; empty
 * lines are passed over. */
export function csvRows(name, text) {
  const rows = [];
  let cells = [];
  let line = 1;
  let start = 1;
  const header = text.split(/\r\n|\n|\r/, 1)[0];
  const separator = [",", ";", "\t"].find((sign) => header.includes(sign)) ?? ",";
  const cell = new RegExp(
    String.raw`(?:"((?:[^"]|"")*)"|([^"${separator}\r\n]*))(${separator}|\r\n|\n|\r|$)`, "y");
  while (cell.lastIndex < text.length || cells.length) {
    const match = cell.exec(text);
    if (!match) throw wrong(name, start, "openQuote");
    const [all, quoted, bare, end] = match;
    line += (all.match(/\r\n|\n|\r/g) ?? []).length;
    cells.push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end === separator) continue;
    if (cells.length > 1 || cells[0]) rows.push({ cells, line: start });
    cells = [];
    start = line;
  }
  return rows;
}

function toDocument(name, line, fields) {
  if (typeof fields.text !== "string") throw wrong(name, line, "noText");
  const id = fields.id === undefined || fields.id === null || fields.id === "" ? `${name}:${line}` : String(fields.id);
  return { id, text: fields.text };
}

const wrong = (name, line, what) => new Error(t("badLine", { name, line, what: t(what) }));
