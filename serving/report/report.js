// Fills the page from its data. Text from the results only ever becomes text nodes.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const labels = new Map(data.labels.map((label) => [label.name, label]));
const PAGE = 100;

function element(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "line", "text", "title"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "colour") made.style.setProperty("--c", value);
    else if (key === "width%") made.style.width = `${value}%`;
    else if (value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== ""));
  return made;
}
const into = (id, ...children) => document.getElementById(id).replaceChildren(...children);
const number = (value) => value.toLocaleString("en");
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;
const words = (name) => name.replaceAll("_", " ");
const colour = (name) => labels.get(name)?.colour ?? "#777777";
const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
const paragraph = (text) => element("p", { class: "faint" }, text);

function tag(name) {
  return element("span", { class: "tag", colour: colour(name) }, words(name));
}

function nameOf(name) {
  const arabic = labels.get(name)?.arabic;
  return [element("span", {}, words(name)), arabic ? element("bdi", { lang: "ar", class: "arabic" }, arabic) : ""];
}

function sure(row) {
  return `${Math.min(99, Math.round(100 * row.probability))} %${row.certain ? "" : " ?"}`;
}

function origin(row) {
  const parts = [row.outlet, row.day].filter(Boolean).map((text) => element("bdi", {}, text));
  const document = element("bdi", {}, row.document);
  parts.push(row.url ? element("a", { href: row.url, rel: "noopener noreferrer", target: "_blank" }, document) : document);
  return element("div", { class: "origin" }, ...parts);
}

function arabicText(text) {
  return element("div", { class: "text", dir: "rtl", lang: "ar" }, text);
}

function quotes(rows) {
  return element("ul", { class: "quotes" }, ...rows.map((row) => element("li", { colour: colour(row.label) },
    arabicText(row.text),
    element("div", { class: "under" }, tag(row.label), element("span", { class: "probability" }, sure(row)), origin(row)))));
}

function stacked(counts) {
  const all = total(counts) || 1;
  const shown = data.labels.filter(({ name }) => counts[name]);
  return element("div", { class: "stack", role: "img", "aria-label": shown.map(({ name }) => `${words(name)} ${percent(counts[name] / all)}`).join(", ") },
    ...shown.map(({ name, colour }) => element("span", { colour, "width%": (100 * counts[name]) / all, title: `${words(name)}: ${number(counts[name])} (${percent(counts[name] / all)})` })));
}

function scroll(name, table) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, table);
}

function table(className, heads, rows) {
  const head = heads.map((text) => (text ? element("th", { scope: "col" }, text) : element("td")));
  return element("table", { class: className }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

function showHead() {
  const by = data.models.length ? `labelled by ${data.models.join(", ")}` : "no records";
  into("about", `${data.inputs.join(", ")} · ${by} · made on ${data.made}`);
  const tiles = [
    ["sentences", number(data.sentences)],
    ["documents", number(data.documents)],
    ["not certain", data.uncertain_share === null ? "–" : percent(data.uncertain_share)],
    ["days", data.first_day ? `${data.first_day} – ${data.last_day}` : "no dates"],
  ];
  into("tiles", ...tiles.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  const odd = [[data.truncated, "too long and read only in part"], [data.not_labelled, "not labelled because of an error"]];
  into("unsure", "A ? marks a label that is not certain. ",
    ...odd.filter(([count]) => count).map(([count, what]) => `${plural(count, "sentence")} ${count === 1 ? "was" : "were"} ${what}. `));
}

function showLabels() {
  const most = Math.max(...data.labels.map(({ count }) => count), 1);
  const all = data.labels.reduce((sum, { count }) => sum + count, 0) || 1;
  const rows = data.labels.map(({ name, colour, count, uncertain }) => element("tr", {},
    element("th", { scope: "row", colour }, element("span", { class: "dot" }), ...nameOf(name)),
    element("td", { class: "bar" }, element("div", { class: "track", colour, "width%": (100 * count) / most },
      element("span", { class: "solid", "width%": (100 * (count - uncertain)) / count }))),
    element("td", { class: "n" }, number(count)),
    element("td", { class: "n" }, percent(count / all)),
    element("td", { class: "n" }, percent(uncertain / count))));
  into("labels", scroll("Labels", table("labels", ["label", "", "sentences", "share", "not certain"], rows)),
    paragraph("The pale end of a bar is the part that is not certain."));
}

function legend(hidden, redraw) {
  return element("div", { class: "legend", role: "group", "aria-label": "Labels shown" }, ...data.labels.map(({ name, colour }) => {
    const button = element("button", { type: "button", colour, "aria-pressed": String(!hidden.has(name)) }, element("span", { class: "dot" }), words(name));
    button.addEventListener("click", () => {
      if (!hidden.delete(name)) hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      redraw();
    });
    return button;
  }));
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 3, 4, 6, 8, 10].map((factor) => factor * power).find((top) => top >= value);
}

function timeChart(rows, shown, width) {
  const height = 240, left = 46, bottom = 26, top = 10;
  const sums = rows.map(({ counts }) => shown.reduce((sum, name) => sum + (counts[name] ?? 0), 0));
  const most = niceTop(Math.max(...sums, 1));
  const slot = (width - left) / rows.length;
  const y = (value) => height - bottom - (value / most) * (height - bottom - top);
  const chart = element("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": "Sentences of each label over time; the numbers are in the table below" });
  for (const part of [0, 0.5, 1]) {
    const value = most * part;
    if (!Number.isInteger(value)) continue;
    chart.append(element("line", { x1: left, x2: width, y1: y(value), y2: y(value) }),
      element("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  const every = Math.ceil(rows.length / Math.max(1, Math.floor((width - left) / 92)));
  rows.forEach(({ start, counts }, index) => {
    const x = left + index * slot, bar = element("g");
    let below = 0;
    for (const name of shown) {
      const count = counts[name] ?? 0;
      if (!count) continue;
      bar.append(element("rect", { x: x + slot * 0.1, width: slot * 0.8, y: y(below + count), height: y(below) - y(below + count), colour: colour(name) }));
      below += count;
    }
    const said = shown.filter((name) => counts[name]).map((name) => `${words(name)}: ${number(counts[name])}`);
    bar.append(element("title", {}, [start, ...said].join("\n")));
    chart.append(bar);
    if (index % every === 0 && x + 70 < width) chart.append(element("text", { x: x + slot * 0.1, y: height - 8 }, period(start)));
  });
  return chart;
}

function period(start) {
  return { year: start.slice(0, 4), month: start.slice(0, 7) }[data.periods.unit] ?? start;
}

function showTime() {
  if (!data.periods) {
    into("time", paragraph("The records have no date. To see labels over time, run rasd classify with --carry and the name of your field: date."));
    return;
  }
  const { unit, rows } = data.periods;
  const hidden = new Set(labels.size > 1 ? ["other"] : []);
  const place = element("div");
  const names = data.labels.map(({ name }) => name);
  const redraw = () => place.replaceChildren(timeChart(rows, names.filter((name) => !hidden.has(name)), Math.max(300, place.clientWidth)));
  const undated = data.sentences - data.not_labelled - data.dated;
  const lines = rows.filter(({ counts }) => total(counts)).map(({ start, counts }) => element("tr", {},
    element("th", { scope: "row" }, period(start)), ...names.map((name) => element("td", { class: "n" }, number(counts[name] ?? 0)))));
  into("time", legend(hidden, redraw), place,
    paragraph(`Sentences per ${unit}${unit === "week" ? ", from Monday" : ""}. The buttons show and hide labels.${undated ? ` ${plural(undated, "sentence")} without a date that can be read ${undated === 1 ? "is" : "are"} not counted here.` : ""}`),
    element("details", {}, element("summary", {}, "The numbers"), scroll("Numbers over time", table("", [unit, ...names.map(words)], lines))));
  redraw();
  new ResizeObserver(redraw).observe(place);
}

function showOutlets() {
  if (!data.outlets.length) {
    into("outlets", paragraph("The records have no outlet or source. To see them, run rasd classify with --carry outlet or --carry source."));
    return;
  }
  const rows = data.outlets.map(({ name, counts }) => element("tr", {},
    element("th", { scope: "row" }, element("bdi", {}, name ?? "all others")),
    element("td", { class: "bar" }, stacked(counts)),
    element("td", { class: "n" }, number(total(counts))),
    ...data.labels.map((label) => element("td", { class: "n" }, number(counts[label.name] ?? 0)))));
  const key = element("div", { class: "legend" }, ...data.labels.map(({ name, colour }) => element("span", { colour }, element("span", { class: "dot" }), words(name))));
  into("outlets", key, scroll("Outlets", table("outlets", ["outlet", "share of labels", "sentences", ...data.labels.map(({ name }) => words(name))], rows)));
}

function showDenied() {
  if (!data.denied_days.length) {
    into("denied", paragraph(data.periods ? "No day has both a claim and a denial." : "The records have no date."));
    return;
  }
  const side = (title, { count, sentences }) => element("div", {}, element("h4", {}, plural(count, title)), quotes(sentences));
  const days = data.denied_days.map(({ day, claims, denials }) => element("article", { class: "day" },
    element("h3", {}, day), element("div", { class: "sides" }, side("claim", claims), side("denial", denials))));
  const shown = data.denied_days.length < data.days_with_both ? `The ${data.denied_days.length} days with the most denials, of ${number(data.days_with_both)} with both` : "Every day with both";
  const rest = days.slice(3);
  into("denied", paragraph(`${shown}; of each kind up to three sentences, the most confident ones. That they share a day does not mean that they speak of the same event.`),
    ...days.slice(0, 3),
    rest.length ? element("details", {}, element("summary", {}, `${plural(rest.length, "more day")}`), ...rest) : "");
}

function showLists() {
  into("confident", ...data.labels.map(({ name }) => element("details", name === "other" ? {} : { open: "" },
    element("summary", {}, ...nameOf(name)), quotes(data.confident[name]))));
  into("doubtful", paragraph("The lowest probabilities: here a correction teaches the model most."), quotes(data.doubtful));
}

// Letters that are often written for each other count as one, as do their shapes in old PDF text;
// vowel signs and invisible marks do not count at all.
function folded(text) {
  return text.normalize("NFKC").toLowerCase()
    .replace(/[\u064b-\u0655\u0670\u0640\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeffءؤئ]/g, "")
    .replace(/[أإآٱ]/g, "ا").replace(/[ىی]/g, "ي").replace(/ک/g, "ك").replace(/ة/g, "ه")
    .replace(/[٠-٩۰-۹]/g, (digit) => digit.charCodeAt(0) % 16);
}

function showTable() {
  const search = element("input", { type: "search", id: "query", placeholder: "word, outlet, document", dir: "auto" });
  const choice = element("select", { id: "label" }, element("option", { value: "" }, "every label"),
    ...data.labels.map(({ name }) => element("option", { value: name }, words(name))));
  const unsure = element("input", { type: "checkbox", id: "uncertain" });
  const status = element("p", { class: "faint", role: "status" });
  const body = element("tbody"), more = element("button", { type: "button", class: "more" }, "Show more");
  const rows = data.table.map((row) => ({ row, key: folded([row.text, row.outlet, row.day, row.document].filter(Boolean).join(" ")) }));
  let found = [];
  const line = (row) => element("tr", {}, element("td", { class: "what" }, tag(row.label), element("span", { class: "probability" }, sure(row))),
    element("td", {}, arabicText(row.text), origin(row)));
  const extend = () => {
    const from = body.childElementCount;
    body.append(...found.slice(from, from + PAGE).map(({ row }) => line(row)));
    more.hidden = body.childElementCount >= found.length;
    status.textContent = `${number(found.length)} found, ${number(body.childElementCount)} shown`;
  };
  const filter = () => {
    const wanted = folded(search.value).split(/\s+/).filter(Boolean);
    found = rows.filter(({ row, key }) => (!choice.value || row.label === choice.value) && (!unsure.checked || !row.certain) && wanted.every((word) => key.includes(word)));
    body.replaceChildren();
    extend();
  };
  for (const control of [search, choice, unsure]) control.addEventListener("input", filter);
  more.addEventListener("click", extend);
  const labelled = data.sentences - data.not_labelled;
  const sample = data.table_rows < labelled
    ? `This page holds ${number(data.table_rows)} of the ${number(labelled)} sentences: a random sample with as many of each label as there is room for. Search the results themselves for the rest.`
    : "Every sentence is here.";
  into("table", paragraph(sample),
    element("form", { class: "controls", role: "search" }, element("label", {}, "Find ", search), element("label", {}, "Label ", choice), element("label", {}, unsure, " not certain")),
    status, element("table", { class: "rows" }, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "label"), element("th", { scope: "col" }, "sentence"))), body), more);
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  filter();
}

for (const show of [showHead, showLabels, showTime, showOutlets, showDenied, showLists, showTable]) show();
