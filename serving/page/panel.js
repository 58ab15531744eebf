// The panel beside the text: the probabilities of one sentence, and its correction.

import { byId, element } from "./dom.js";
import { labelName, percent, t } from "./i18n.js";
import { isUncertain, labelOf, state } from "./state.js";
import { settings } from "./storage.js";
import { direction } from "./text.js";

/** Show the selected sentence; `correct(name)` is called when a label is chosen for it. */
export function showPanel(correct) {
  const record = state.records[state.selected];
  byId("panel").classList.toggle("open", Boolean(record));
  const keys = t("keys", { n: state.model.labels.length });
  if (!record) {
    byId("panel").replaceChildren(element("p", { class: "hint" }, t("choose")), element("p", { class: "hint keys" }, keys));
    return;
  }
  const quote = element("blockquote", { dir: direction(record.text), lang: "ar" }, record.text);
  if (record.label === null) {
    byId("panel").replaceChildren(close(), quote, element("p", {}, `${t("unread")}: `, element("bdi", {}, record.error)));
    return;
  }
  const name = element("input", { id: "annotator", type: "text", maxlength: "200", autocomplete: "name" });
  name.value = settings.getItem("rasd.annotator") ?? "";
  name.addEventListener("input", () => settings.setItem("rasd.annotator", name.value));
  byId("panel").replaceChildren(
    close(),
    quote,
    ...notes(record),
    element("h2", {}, t("right")),
    element("div", { class: "choices" }, ...state.model.labels.map((label, i) => choice(record, label, i, correct))),
    element("p", { class: "outcome", role: "status" }, record.outcome ?? ""),
    element("label", { for: "annotator", class: "hint" }, t("name")),
    name,
    element("p", { class: "hint keys" }, keys),
  );
}

const close = () => element("button", {
  type: "button", class: "close", "aria-label": t("cancel"),
  onclick: () => byId("panel").classList.remove("open"),
}, "×");

function notes(record) {
  const found = [];
  if (isUncertain(record)) found.push(t("uncertainNote"));
  if (record.truncated) found.push(t("truncated"));
  if (record.correction !== undefined && record.correction !== record.label) {
    const before = state.model.labels.find((label) => label.name === record.label);
    found.push(`${t("corrected")}; ${t("was")}: ${labelName(before)}.`);
  } else if (record.correction !== undefined) {
    found.push(`${t("confirmed")}.`);
  }
  return found.map((text) => element("p", { class: "note" }, text));
}

function choice(record, label, index, correct) {
  const p = record.probabilities[label.name] ?? 0;
  const bar = element("i", { class: "share" });
  bar.style.setProperty("--share", p);
  return element("button", {
    type: "button",
    data: { l: index, choice: label.name },
    "aria-pressed": String(labelOf(record) === label.name),
    onclick: () => correct(label.name),
  }, element("kbd", { "aria-hidden": "true" }, String(index + 1)), element("span", {}, labelName(label)),
  element("span", { class: "p" }, percent(p)), bar);
}
