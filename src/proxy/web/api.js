// The proxy's routes: requests, uploads with progress, events that resume.

import { unique } from "/web/dom.js";

const KEY = "violet.key";

/** How often an event stream is taken up again before it has failed. */
const TRIES = 5;

/** A refusal of the proxy, or no answer from it (status 0). */
export class ApiError extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function key() {
  return localStorage.getItem(KEY) ?? "";
}

export function setKey(value) {
  if (value) localStorage.setItem(KEY, value);
  else localStorage.removeItem(KEY);
}

function authorization() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}

/** What an answer that is no success says. */
function refusal(status, text) {
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch { /* a gateway's own page */ }
  if (status === 401) return new ApiError(`${error.message ?? "this proxy asks for an API key"}. Enter one under "API key" above.`, status, error.code);
  if (status === 0) return new ApiError("The proxy cannot be reached. Check your connection; work that was already sent continues.", 0, "unreachable");
  return new ApiError(error.message ?? `the proxy answered ${status}`, status, error.code ?? `http_${status}`);
}

/** One request; the response, if it is a success. */
export async function call(method, path, { body, headers = {}, signal } = {}) {
  const isJson = body !== undefined && !(body instanceof Blob) && !(body instanceof FormData);
  let response;
  try {
    response = await fetch(path, {
      method, signal, body: isJson ? JSON.stringify(body) : body,
      headers: { ...authorization(), ...(isJson ? { "Content-Type": "application/json" } : {}), ...headers },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw refusal(0, "");
  }
  if (!response.ok) throw refusal(response.status, await response.text());
  return response;
}

export async function json(method, path, options) {
  return (await call(method, path, options)).json();
}

/** Uploads a file; `progress` gets the share that was sent. XMLHttpRequest, as fetch does not tell. */
export function upload(file, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/v1/uploads?name=${encodeURIComponent(file.name ?? "recording")}`);
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.lengthComputable ? event.loaded / event.total : 0));
    request.addEventListener("load", () => {
      if (request.status === 201) resolve(JSON.parse(request.responseText));
      else reject(refusal(request.status, request.responseText));
    });
    request.addEventListener("error", () => reject(refusal(0, "")));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** Makes a task; a repeated request never makes a second one. */
export function submit(body) {
  return json("POST", "/v1/tasks", { body, headers: { "Idempotency-Key": unique() } });
}

/** The events of one connection: kind, number and data. */
async function* stream(path, last, signal) {
  const response = await call("GET", path, { signal, headers: last ? { "Last-Event-ID": last } : {} });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").filter((line) => line && !line.startsWith(":")).map((line) => {
        const at = line.indexOf(":");
        return [line.slice(0, at), line.slice(at + 1).trimStart()];
      }));
      if (fields.data) yield [fields.event, fields.id, JSON.parse(fields.data)];
    }
  }
}

const FINAL = ["verified", "unverified", "failed", "cancelled"];

export function isFinal(task) {
  return FINAL.includes(task.state);
}

/** All of a task's life and then as it goes, until it ended; a broken connection is taken up where it ended. */
export async function* watch(task, signal) {
  let last = "0";
  let failures = 0;
  while (true) {
    try {
      for await (const [kind, number, data] of stream(`/v1/tasks/${task.id}/events`, last, signal)) {
        failures = 0;
        last = number ?? last;
        task = kind === "state" ? data : { ...task, ...data };
        yield task;
        if (isFinal(task)) return;
      }
    } catch (error) {
      if (error.name === "AbortError" || (error.status >= 400 && error.status < 500)) throw error;
      failures += 1;
      if (failures === TRIES) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** failures));
    task = await json("GET", `/v1/tasks/${task.id}`, { signal });
    yield task;
    if (isFinal(task)) return;
  }
}
