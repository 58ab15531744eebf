// The service's routes: labels in requests within its limits, corrections, and the API key.

import { t } from "./i18n.js";
import { session } from "./storage.js";
import { codePoints, pieces } from "./text.js";

// UTF-16 units per request: about a hundred sentences, so that progress is visible.
const PIECE = 20000;
const PATIENCE = 6;

export class ProblemError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.status = status;
    this.slug = (problem.type ?? "").split(":").at(-1);
  }
}

let askForKey = async () => null;

/** `ask` shows a dialog for the key and resolves to the key, or to null; `true`: one was refused. */
export const onKeyWanted = (ask) => { askForKey = ask; };

async function call(path, { body, signal } = {}) {
  for (let attempt = 0; ; attempt += 1) {
    const headers = body ? { "Content-Type": "application/json" } : {};
    const key = session.getItem("rasd.key");
    if (key) headers.Authorization = `Bearer ${key}`;
    let response;
    try {
      response = await fetch(path, {
        method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body),
      });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error(t("unreachable"));
    }
    if (response.ok) return response.json();
    const problem = new ProblemError(response.status, await response.json().catch(() => ({})));
    if (response.status === 401) {
      session.removeItem("rasd.key");
      let given = await askForKey(Boolean(key));
      // A header holds no other characters: `fetch` would throw, and the key would stay stored.
      while (given && !/^[!-~]+$/.test(given)) given = await askForKey(true);
      if (!given) throw problem;
      session.setItem("rasd.key", given);
    } else if ([429, 503].includes(response.status) && attempt < PATIENCE && path !== "v1/feedback") {
      await pause(1000 * Math.min(10, Number(response.headers.get("Retry-After")) || 1), signal);
    } else {
      throw problem;
    }
  }
}

const pause = (milliseconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, milliseconds);
  signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); });
});

export const model = () => call("v1/model");
export const retraining = () => call("v1/retraining");
export const feedback = (correction) => call("v1/feedback", { body: correction });

/** Label documents [{id, text}]; return [{id, text, sentences}]. Calls `progress(done, total)`. */
export async function classify(documents, { signal, progress }) {
  const results = documents.map(({ id, text }) => ({ id, text: wellFormed(text), sentences: [] }));
  const parts = results.flatMap((result) => pieces(result.text, PIECE).map((text) => ({ result, text })));
  const batches = batched(parts);
  progress(0, batches.length);
  for (const [number, batch] of batches.entries()) {
    for (const { result, records } of await labelled(batch, signal)) append(result, records);
    progress(number + 1, batches.length);
  }
  return results.map(({ id, text, sentences }) => ({ id, text, sentences }));
}

// Half of a surrogate pair is not a character; the service rejects it.
const wellFormed = (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");

function batched(parts) {
  const batches = [];
  let size = Infinity;
  for (const part of parts) {
    if (size + part.text.length > PIECE || batches.at(-1).length >= 500) {
      batches.push([]);
      size = 0;
    }
    batches.at(-1).push(part);
    size += part.text.length;
  }
  return batches;
}

/** Request one batch; if it is too large for one request, request its halves. */
async function labelled(batch, signal) {
  try {
    const documents = batch.map(({ text }, index) => ({ id: String(index), text }));
    const answer = await call("v1/classify", { body: { documents }, signal });
    return batch.map(({ result, text }, index) => (
      { result, records: { text, sentences: answer.documents[index].sentences } }));
  } catch (error) {
    const halves = halved(batch);
    if (![413, 422, 504].includes(error.status) || error.slug === "invalid" || !halves) throw error;
    return [...await labelled(halves[0], signal), ...await labelled(halves[1], signal)];
  }
}

function halved(batch) {
  if (batch.length > 1) {
    const middle = Math.ceil(batch.length / 2);
    return [batch.slice(0, middle), batch.slice(middle)];
  }
  const [{ result, text }] = batch;
  if (codePoints(text) < 2) return null;
  const [first, ...rest] = pieces(text, Math.ceil(text.length / 2));
  return [[{ result, text: first }], [{ result, text: rest.join("") }]];
}

/** Add the records of a piece to its document, as if the document had been labelled at once. */
function append(result, { text, sentences }) {
  const offset = result.read ?? 0;
  for (const record of sentences) {
    result.sentences.push({
      ...record,
      doc_id: result.id,
      sentence: result.sentences.length,
      start: record.start + offset,
      end: record.end + offset,
    });
  }
  result.read = offset + codePoints(text);
}
