// The tab about retraining: what the desk needs to decide on one. It starts none.

import { element } from "./dom.js";
import { checkName, currentLanguage, labelName, t } from "./i18n.js";

/** Return the elements for an answer of `/v1/retraining` and the description of the model. */
export function renderRetraining(found, model) {
  return [
    block("corrections", corrections(found.corrections, model)),
    block("served", served(found, model)),
    block("last", found.last ? last(found.last, model) : [note(t(found.version ? "never" : "unrecorded"))]),
    block("next", next(found.command, found.version)),
  ];
}

const block = (key, children) => element("section", { class: "block" }, element("h2", {}, t(key)), ...children);
const note = (text) => element("p", { class: "hint" }, text);
const number = (n) => n.toLocaleString("en");
const isolated = (text) => `\u2068${text}\u2069`;
const bdi = (text) => element("bdi", { class: "name" }, text);

function corrections({ total, labels, annotators }, model) {
  const most = Math.max(1, ...Object.values(labels));
  const byLabel = Object.entries(labels).map(([name, n]) => {
    const index = model.labels.findIndex((label) => label.name === name);
    return bar(index < 0 ? bdi(name) : labelName(model.labels[index]), n, most, index);
  });
  const made = [element("p", { class: "total" }, number(total)), list(byLabel)];
  if (!annotators) return [...made, note(t("anonymous"))];
  if (!total) return made;
  const rest = total - annotators.reduce((sum, { corrections: n }) => sum + n, 0);
  const rows = annotators.map(({ name, corrections: n }) => bar(name ? bdi(name) : t("nameless"), n, total));
  if (rest) rows.push(bar(t("others"), rest, total));
  return [...made, element("h3", {}, t("byAnnotator")), list(rows)];
}

const list = (rows) => element("ul", { class: "bars" }, ...rows);

function bar(name, n, most, index = -1) {
  const share = element("i", { class: "share", data: { l: index } });
  share.style.setProperty("--share", n / most);
  return element("li", {}, element("span", {}, name), element("b", {}, number(n)), share);
}

function served(found, { metrics: { macro_f1: f1, accuracy } }) {
  const place = found.version ? ` · ${t("version", { name: isolated(found.version) })}` : "";
  const lines = [element("p", {}, bdi(found.model), place)];
  if (Number.isFinite(f1) && Number.isFinite(accuracy)) {
    lines.push(note(t("ownFigures", { f1: f1.toFixed(3), accuracy: accuracy.toFixed(3) })));
  }
  return lines;
}

function last({ time, champion, challenger, passed, checks }, model) {
  const when = new Intl.DateTimeFormat(currentLanguage() === "ar" ? "ar-u-nu-latn" : "en-GB", {
    dateStyle: "medium", timeStyle: "short",
  }).format(new Date(time));
  const names = { champion: isolated(champion), challenger: isolated(challenger) };
  const head = ["figure", "champion", "challenger", "gate"].map((key) => element("th", { scope: "col" }, t(key)));
  const rows = checks.map((check) => element("tr", { class: check.outcome },
    element("th", { scope: "row" }, checkName(check.name, model.labels)),
    element("td", { class: "number" }, check.champion.toFixed(3)),
    element("td", { class: "number" }, check.challenger.toFixed(3)),
    element("td", {}, t(`outcome_${check.outcome}`))));
  return [
    element("p", {}, element("time", { datetime: time, class: "hint" }, when)),
    element("p", { class: passed ? "passed" : "kept" }, t(passed ? "passed" : "kept", names)),
    element("table", { class: "figures" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
  ];
}

function next(command, version) {
  if (!command) return [note(t("noCommand"))];
  // A line breaks between words only: a hyphen of an option stays with it.
  const words = command.split(" ").flatMap((word) => [element("span", {}, word), " "]).slice(0, -1);
  return [
    note(t(version ? "nextHow" : "nextHowAlone")),
    element("pre", { dir: "ltr", tabindex: "0", "aria-label": t("next") }, element("code", {}, ...words)),
    command.includes("postgresql://") ? note(t("noPassword")) : null,
  ].filter(Boolean);
}
