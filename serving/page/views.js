// The two views of the labelled sentences: text and table. Both show the same records.

import { element } from "./dom.js";
import { labelName, percent, t } from "./i18n.js";
import { isPlain, isShown, isUncertain, labelIndex, labelOf, state } from "./state.js";
import { direction, unitOffsets } from "./text.js";

export const render = () => element("div", {}, state.view === "text" ? textView() : tableView());

/** Redraw one record in place, and the bar of its document. */
export function redraw(index) {
  const old = document.querySelector(`#view [data-index="${index}"]`);
  const bar = old?.closest("article")?.querySelector(".shares");
  const record = state.records[index];
  old?.replaceWith(state.view === "text" ? sentence(record, index) : row(record, index));
  bar?.replaceWith(shares(state.documents.find(({ sentences }) => sentences.includes(record)).sentences));
}

/** The indices of the records in the order of the page. */
export const inOrder = () => (state.view === "text" ? [...state.records.keys()] : sorted());

function textView() {
  let index = 0;
  return state.documents.map((found) => {
    const first = index;
    index += found.sentences.length;
    return article(found, first);
  });
}

function article(found, first) {
  const { text, sentences } = found;
  const offsets = unitOffsets(text, sentences.flatMap(({ start, end }) => [start, end]));
  const paragraphs = [];
  let line = null;
  let end = 0;
  for (const [number, record] of sentences.entries()) {
    const gap = text.slice(end, offsets[2 * number]);
    if (!line || /[\n\r]/.test(gap)) {
      line = element("p", { class: /\n\s*\n/.test(gap) ? "after-gap" : undefined });
      paragraphs.push(line);
    } else {
      line.append(gap);
    }
    line.append(sentence(record, first + number));
    end = offsets[2 * number + 1];
  }
  const many = state.documents.length > 1;
  return element("article", { dir: direction(text), lang: direction(text) === "rtl" ? "ar" : undefined },
    many ? element("h2", {}, element("bdi", {}, found.id), shares(sentences)) : null,
    paragraphs.length ? paragraphs : element("p", { class: "hint" }, t("nothing")));
}

/** A bar of the labels' shares in a document; screen readers use the counts of the filter. */
function shares(sentences) {
  const bar = element("span", { class: "shares", "aria-hidden": "true" });
  for (const [index, label] of state.model.labels.entries()) {
    const count = sentences.filter((record) => labelOf(record) === label.name).length;
    if (!count) continue;
    const part = element("i", { data: { l: index } });
    part.style.flexGrow = count;
    bar.append(part);
  }
  return bar;
}

function sentence(record, index) {
  return marked(element("span", {
    class: "sentence", role: "button", data: { index }, tabindex: "-1",
  }), record, [tag(record), record.text.replace(/\s*\n\s*/g, " ")]);
}

/** Show a record's state on its element: a sentence in the text view or a row in the table. */
function marked(made, record, children) {
  const name = labelOf(record);
  made.classList.toggle("plain", isPlain(name));
  made.classList.toggle("uncertain", isUncertain(record));
  made.classList.toggle("corrected", record.correction !== undefined);
  made.classList.toggle("dimmed", !isShown(record));
  if (name !== null) made.dataset.l = labelIndex(name);
  made.dataset.label = name ?? "";
  made.replaceChildren(...children);
  return made;
}

/** The label in words; where the label is not drawn, it is for screen readers only. */
function tag(record) {
  const name = labelOf(record);
  const words = inWords(record);
  return element("span", { class: isPlain(name) && !isUncertain(record) && !record.correction ? "unseen" : "tag" },
    element("bdi", {}, words), element("span", { class: "unseen" }, ` ${likelihood(record)}: `));
}

export function inWords(record) {
  const name = labelOf(record);
  if (name === null) return t("unread");
  const words = labelName(state.model.labels[labelIndex(name)]);
  if (record.correction !== undefined) return `✓ ${words}`;
  return isUncertain(record) ? `${words} ?` : words;
}

export function likelihood(record) {
  if (record.correction !== undefined) return t(record.correction === record.label ? "confirmed" : "corrected");
  if (record.label === null) return record.error;
  return percent(record.probability) + (record.certain ? "" : ` · ${t("uncertain")}`);
}

function sorted() {
  const { key, falling } = state.sort;
  const value = {
    number: (index) => index,
    label: (index) => labelIndex(labelOf(state.records[index])),
    probability: (index) => state.records[index].probability ?? -1,
  }[key];
  return [...state.records.keys()].sort((a, b) => (value(a) - value(b)) * (falling ? -1 : 1));
}

function tableView() {
  const body = element("tbody");
  for (const index of sorted()) {
    const record = state.records[index];
    if (isShown(record)) body.append(row(record, index));
  }
  const head = element("tr", {}, heading("number"),
    state.documents.length > 1 ? element("th", { scope: "col" }, t("document")) : null,
    element("th", { scope: "col", class: "wide" }, t("sentence")), heading("label"), heading("probability"));
  return [element("table", {}, element("thead", {}, head), body)];
}

function heading(key) {
  const chosen = state.sort.key === key;
  return element("th", {
    scope: "col", "aria-sort": chosen ? (state.sort.falling ? "descending" : "ascending") : undefined,
  }, element("button", { type: "button", data: { sort: key } }, t(key === "label" ? "labelColumn" : key)));
}

function row(record, index) {
  const made = marked(element("tr", { data: { index }, tabindex: "-1" }), record, []);
  const p = record.probability === null ? "" : percent(record.probability);
  made.append(
    element("td", { class: "number" }, String(index + 1)),
    ...(state.documents.length > 1 ? [element("td", { class: "document" }, element("bdi", {}, record.doc_id))] : []),
    element("td", { class: "wide", dir: direction(record.text), lang: "ar" }, record.text),
    element("td", { class: "name" }, element("span", { class: "tag" }, element("bdi", {}, inWords(record)))),
    element("td", { class: "number", title: likelihood(record) }, p,
      isUncertain(record) ? element("span", { class: "unseen" }, ` ${t("uncertain")}`) : null),
  );
  return made;
}
