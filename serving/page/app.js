// The web page: takes texts, shows their labels, and sends corrections.

import * as api from "./api.js";
import { byId, element } from "./dom.js";
import { csv, jsonLines, save } from "./download.js";
import { currentLanguage, labelName, setLanguage, t, translate } from "./i18n.js";
import { readFiles } from "./input.js";
import { showPanel } from "./panel.js";
import { renderRetraining } from "./retraining.js";
import { isShown, isUncertain, labelOf, state } from "./state.js";
import { settings } from "./storage.js";
import { inOrder, inWords, likelihood, redraw, render } from "./views.js";

let stopping = null;

// --- Tabs ---------------------------------------------------------------------------------------

const retraining = () => location.hash === "#retraining";

/** Show the tab that the address names; what a retraining starts from is asked for each time. */
async function showTab() {
  const chosen = retraining();
  document.body.classList.toggle("retrains", chosen);
  byId("retraining").hidden = !chosen;
  byId("skip").hash = chosen ? "#retraining" : "#results";
  for (const tab of document.querySelectorAll(".tabs a")) {
    if (tab.hash === (chosen ? "#retraining" : "#labelling")) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  byId("error").hidden = true;
  if (!chosen) return;
  try {
    const found = await api.retraining();
    await needModel(found.model);
    byId("retraining").replaceChildren(...renderRetraining(found, state.model));
  } catch (error) {
    byId("retraining").replaceChildren();
    if (retraining()) fail(error.status === 404 ? new Error(t("noStore")) : error);
  }
}

addEventListener("hashchange", showTab);

// --- Requests -----------------------------------------------------------------------------------

async function label(documents, notes = []) {
  stopping?.abort();
  const mine = new AbortController();
  stopping = mine;
  byId("error").hidden = true;
  byId("busy").hidden = false;
  byId("label").disabled = true;
  say(notes.join(" "));
  try {
    await needModel();
    const found = await api.classify(documents, { signal: mine.signal, progress });
    await needModel(found.flatMap(({ sentences }) => sentences).at(0)?.model);
    showResults(found, notes);
  } catch (error) {
    if (stopping !== mine) return;  // another text is being labelled
    if (error.name === "AbortError") say(t("stopped"));
    else fail(error);
  } finally {
    if (stopping === mine) {
      byId("busy").hidden = true;
      byId("label").disabled = false;
    }
  }
}

function progress(done, total) {
  byId("progress").max = total;
  byId("progress").value = done;
  byId("busy-text").textContent = total > 1 ? t("working", { n: done, total }) : "";
}

/** Load the description of the model that gave an answer: the service may replace it at any time. */
async function needModel(name) {
  if (state.model && (name === undefined || state.model.model === name)) return;
  state.model = await api.model();
  byId("model").textContent = state.model.model;
  for (const [index, { colour }] of state.model.labels.entries()) {
    document.documentElement.style.setProperty(`--label-${index}`, colour);
  }
}

function showResults(documents, notes) {
  state.documents = documents;
  state.records = documents.flatMap(({ sentences }) => sentences);
  state.filter.clear();
  state.selected = -1;
  byId("results").hidden = false;
  document.body.classList.add("has-results");
  show();
  byId("results").focus({ preventScroll: true });
  byId("results").scrollIntoView({ block: "start" });
  const what = state.records.length ? t("done", { n: state.records.length }) : t("nothing");
  say([what, ...notes].join(" "));
}

const say = (text) => { byId("status").textContent = text; };

function fail(error) {
  byId("error").textContent = error.message;
  byId("error").hidden = false;
}

// --- What is shown -------------------------------------------------------------------------------

function show() {
  if (!state.model) return;
  showChips();
  byId("as-text").ariaPressed = String(state.view === "text");
  byId("as-table").ariaPressed = String(state.view === "table");
  byId("view").replaceChildren(render());
  markSelected();
  showPanel(correct);
}

function showChips() {
  const chip = (name, words, count, index) => element("button", {
    type: "button", class: "chip", data: { filter: name, l: index }, "aria-pressed": String(state.filter.has(name)),
  }, element("i", { class: "dot" }), words, " ", element("b", {}, count.toLocaleString("en")));
  const all = element("button", {
    type: "button", class: "chip", data: { filter: "" }, "aria-pressed": String(state.filter.size === 0),
  }, t("all"), " ", element("b", {}, state.records.length.toLocaleString("en")));
  const focused = document.activeElement?.dataset?.filter;
  byId("chips").replaceChildren(
    all,
    ...state.model.labels.map((one, index) =>
      chip(one.name, labelName(one), state.records.filter((record) => labelOf(record) === one.name).length, index)),
    chip("uncertain", t("uncertain"), state.records.filter(isUncertain).length, "uncertain"),
  );
  if (focused !== undefined) byId("chips").querySelector(`[data-filter="${focused}"]`)?.focus();
}

const shownElement = (index) => byId("view").querySelector(`[data-index="${index}"]`);

function markSelected() {
  for (const old of byId("view").querySelectorAll(".selected")) {
    old.classList.remove("selected");
    old.tabIndex = -1;
  }
  const chosen = shownElement(state.selected);
  const entry = chosen ?? byId("view").querySelector("[data-index]:not(.dimmed)");
  if (entry) entry.tabIndex = 0;
  chosen?.classList.add("selected");
}

function select(index, { focus = false } = {}) {
  state.selected = index;
  markSelected();
  showPanel(correct);
  if (focus) shownElement(index)?.focus();
}

/** Select the next visible sentence in one direction that is `wanted`. */
function move(step, wanted = () => true) {
  const order = inOrder();
  let at = order.indexOf(state.selected);
  if (at < 0 && step < 0) at = order.length;
  for (at += step; at >= 0 && at < order.length; at += step) {
    const record = state.records[order[at]];
    if (isShown(record) && wanted(record)) {
      select(order[at], { focus: true });
      return;
    }
  }
}

// --- Corrections ---------------------------------------------------------------------------------

// The last correction, once it is sent: of two for one sentence, the second must not be stored first.
let saved = Promise.resolve();

async function correct(name) {
  const record = state.records[state.selected];
  if (!record || record.label === null) return;
  const before = record.correction;
  record.correction = name;
  record.outcome = t("saving");
  refresh(record);
  try {
    const decision = {
      text: record.text,
      label: name,
      predicted: record.label,
      probabilities: record.probabilities,
      model: record.model,
      annotator: settings.getItem("rasd.annotator") || undefined,
    };
    const mine = saved.then(() => api.feedback(decision));
    saved = mine.catch(() => {});
    await mine;
    record.outcome = t("saved");
  } catch (error) {
    if (record.correction === name) record.correction = before;
    record.outcome = `${t("notSaved")}: ${error.status === 404 ? t("noStore") : error.message}`;
  }
  refresh(record);
}

/** Redraw one record in place without moving the focus. */
function refresh(record) {
  const focus = document.activeElement;
  const choice = focus?.dataset?.choice;
  const index = focus?.dataset?.index;
  showChips();
  redraw(state.records.indexOf(record));
  markSelected();
  showPanel(correct);
  if (choice && state.records[state.selected] === record) {
    byId("panel").querySelector(`[data-choice="${choice}"]`)?.focus();
  } else if (index) {
    shownElement(index)?.focus();
  }
}

function download(suffix) {
  const records = state.records.map(({ outcome, ...record }) => record);
  if (suffix === "csv") save(csv(records), "text/csv;charset=utf-8", suffix);
  else save(jsonLines(records), "application/x-ndjson", suffix);
}

// --- Events -------------------------------------------------------------------------------------

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value;
  if (text.trim()) label([{ id: t("pasted"), text }]);
  else say(t("empty"));
});

byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("composer").requestSubmit();
});

async function take(files) {
  if (retraining()) location.hash = "#labelling";
  try {
    const { documents, notes } = await readFiles(files);
    if (documents.length) await label(documents, notes);
    else say(t("nothing"));
  } catch (error) {
    fail(error);
  }
}

byId("files").addEventListener("change", async ({ target }) => {
  await take([...target.files]);
  target.value = "";
});

byId("sample").addEventListener("click", async () => {
  byId("text").value = (await (await fetch("page/sample.txt")).text()).trim();
  byId("composer").requestSubmit();
});

byId("stop").addEventListener("click", () => stopping?.abort());

for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    byId("drop").hidden = false;
  });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").hidden = true; });
addEventListener("drop", (event) => {
  byId("drop").hidden = true;
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  take([...event.dataTransfer.files]);
});

byId("chips").addEventListener("click", ({ target }) => {
  const name = target.closest("[data-filter]")?.dataset.filter;
  if (name === undefined) return;
  if (!name) state.filter.clear();
  else if (!state.filter.delete(name)) state.filter.add(name);
  show();
  say(t("shown", { n: state.records.filter(isShown).length, total: state.records.length }));
});

for (const view of ["text", "table"]) {
  byId(`as-${view}`).addEventListener("click", () => {
    state.view = view;
    show();
  });
}
byId("csv").addEventListener("click", () => download("csv"));
byId("jsonl").addEventListener("click", () => download("jsonl"));

const indexOf = (target) => Number(target.closest?.("[data-index]")?.dataset.index ?? -1);

byId("view").addEventListener("click", ({ target }) => {
  const key = target.closest("[data-sort]")?.dataset.sort;
  if (key) {
    state.sort = { key, falling: state.sort.key === key && !state.sort.falling };
    show();
    byId("view").querySelector(`[data-sort="${key}"]`).focus();
  } else if (indexOf(target) >= 0 && getSelection().isCollapsed) {
    select(indexOf(target));
  }
});

// The digits of Arabic and of Persian keyboards.
const DIGITS = "٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹";

function digitOf(key) {
  const index = DIGITS.indexOf(key);
  return index < 0 ? Number(key) : index % 10;
}

addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea, select") || byId("key-dialog").open;
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (retraining() || !state.records.length) return;
  const label = state.model.labels[digitOf(event.key) - 1];
  const forward = byId("view").querySelector("article")?.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
  if (label && state.selected >= 0) correct(label.name);
  else if (event.key.toLowerCase() === "n" || event.key === "ى") move(1, isUncertain);
  else if (event.key === "Escape") byId("panel").classList.remove("open");
  else if (indexOf(event.target) < 0) return;
  else if (event.key === "ArrowDown" || event.key === forward) move(1);
  else if (event.key === "ArrowUp" || event.key.startsWith("Arrow")) move(-1);
  else if (event.key === "Enter" || event.key === " ") select(indexOf(event.target));
  else return;
  event.preventDefault();
});

// --- The tip that says how probable a label is ---------------------------------------------------

function tip(target) {
  const index = indexOf(target);
  const record = state.view === "text" ? state.records[index] : undefined;
  byId("tip").hidden = !record;
  if (!record) return;
  byId("tip").textContent = `${inWords(record)} · ${likelihood(record)}`;
  const place = shownElement(index).getClientRects()[0];
  const size = byId("tip").getBoundingClientRect();
  const left = Math.min(innerWidth - size.width - 8, Math.max(8, place.left + (place.width - size.width) / 2));
  byId("tip").style.left = `${left}px`;
  byId("tip").style.top = `${place.top > size.height + 12 ? place.top - size.height - 6 : place.bottom + 6}px`;
}

byId("view").addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") tip(event.target); });
byId("view").addEventListener("pointerleave", () => tip(document.body));
byId("view").addEventListener("focusin", ({ target }) => {
  const index = indexOf(target);
  if (index >= 0 && index !== state.selected && target.matches(":focus-visible")) select(index);
  if (target.matches(":focus-visible")) tip(target);
});
byId("view").addEventListener("focusout", () => tip(document.body));
addEventListener("scroll", () => { byId("tip").hidden = true; }, { passive: true });

// --- Language, theme, key ------------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];
const theme = () => settings.getItem("rasd.theme") ?? "auto";

function dress() {
  document.documentElement.dataset.theme = theme();
  byId("theme").textContent = `${t("theme")}: ${t(theme())}`;
  byId("language").textContent = t("language");
  byId("language").lang = currentLanguage() === "ar" ? "en" : "ar";
}

byId("theme").addEventListener("click", () => {
  settings.setItem("rasd.theme", THEMES[(THEMES.indexOf(theme()) + 1) % 3]);
  dress();
});

byId("language").addEventListener("click", () => {
  setLanguage(currentLanguage() === "ar" ? "en" : "ar");
  translate();
  dress();
  say("");
  show();
  if (retraining()) showTab();
});

api.onKeyWanted((refused) => new Promise((resolve) => {
  const dialog = byId("key-dialog");
  byId("key-why").textContent = t(refused ? "keyRefused" : "keyWhy");
  byId("key").value = "";
  dialog.returnValue = "cancel";
  dialog.showModal();
  dialog.addEventListener("close", () => {
    resolve(dialog.returnValue === "ok" ? byId("key").value.trim() : null);
  }, { once: true });
}));

translate();
dress();
needModel().then(showTab, fail);
