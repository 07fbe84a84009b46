// One task on the screen, from its upload to its answer: progress, errors that say what to do, and what came of it.

import { ApiError, call, isFinal, json, life, submit, upload, watch } from "/web/api.js";
import { make } from "/web/dom.js";
import { remember } from "/web/history.js";
import { measurements } from "/web/measurements.js";
import { player } from "/web/player.js";
import { snippets } from "/web/snippets.js";
import { transcriptView } from "/web/transcript.js";
import { badge, details, timeline } from "/web/verdict.js";

/** A card for a task; `begin` makes the task, `audio` is the file where it is here. */
export function job(name, { begin, task: known, audio = null, request = null }) {
  const stop = new AbortController();
  const state = make("span", { className: "state", role: "status" });
  const bar = make("progress", { max: 1, value: 0, "aria-label": `progress of ${name}` });
  const partial = make("p", { className: "partial", "aria-live": "off" });
  const result = make("div");
  const cancel = make("button", { type: "button", textContent: "Cancel" });
  const card = make("section", { className: "card", "aria-label": name }, make("h2", { textContent: name }),
    make("div", { className: "row" }, state, cancel), bar, partial, result);
  let task = known ?? null;
  let shown = null;
  let view = null;

  const fail = (error) => {
    if (error.name === "AbortError") return;
    bar.remove();
    cancel.remove();
    card.classList.add("failed");
    state.textContent = error instanceof ApiError ? error.message : `${error.name}: ${error.message}`;
  };
  const sending = (share) => {
    state.textContent = `uploading ${Math.round(100 * share)} %`;
    bar.value = share;
  };
  const progress = () => {
    if (task.state === "queued") state.textContent = task.queue_position ? `place ${task.queue_position} in the queue` : "in the queue";
    else if (task.state === "running") state.textContent = `a miner works on it, ${Math.round(100 * task.progress)} %`;
    bar.value = task.progress;
    partial.textContent = task.answer ? "" : task.partial ?? "";
  };

  async function show() {
    // A better answer may replace the first one once validators have spoken.
    if (shown !== task.answer.response_id) {
      shown = task.answer.response_id;
      bar.remove();
      cancel.remove();
      partial.remove();
      view?.leave?.();
      view = await answer(task, name, audio);
    }
    state.replaceChildren(badge(task));
    const more = [details(task), request ? snippets(task.kind, name, request) : null];
    if (isFinal(task)) more.unshift(timeline(await life(task.id)));
    result.replaceChildren(view.element, ...more.filter(Boolean));
  }

  async function run() {
    task ??= await begin(sending, stop.signal);
    remember(task, name);
    card.prepend(make("a", { className: "link", href: `#/task/${task.id}`, textContent: "link", "aria-label": `link to ${name}` }));
    for await (task of isFinal(task) ? [task] : watch(task, stop.signal)) {
      progress();
      if (task.answer) await show();
    }
    if (task.answer) await show();
    else fail(new ApiError(task.state === "cancelled" ? "Cancelled." : `Failed: ${task.reason}`, 0, task.state));
  }

  cancel.addEventListener("click", async () => {
    stop.abort();
    if (task) await json("POST", `/v1/tasks/${task.id}/cancel`).catch(() => {});
    bar.remove();
    cancel.remove();
    state.textContent = "Cancelled.";
  });
  return { element: card, done: run().catch(fail), leave: () => { stop.abort(); view?.leave?.(); } };
}

/** The answer of a task, to look at and listen to. */
async function answer(task, name, audio) {
  if (task.kind === "synthesis") {
    const spoken = await (await call("GET", `/v1/tasks/${task.id}/audio`)).blob();
    const view = player(spoken);
    view.audio.autoplay = true;
    const ending = { "audio/mpeg": "mp3", "audio/flac": "flac", "audio/wav": "wav", "audio/ogg": "opus" }[spoken.type] ?? "pcm";
    const link = make("a", { className: "button", href: view.audio.src, download: `speech.${ending}`, textContent: `Download ${ending}` });
    return { element: make("div", {}, view.element, link), leave: view.leave };
  }
  const found = await json("GET", `/v1/tasks/${task.id}/result`);
  const sound = audio ?? (await call("GET", `/v1/tasks/${task.id}/audio`).then((response) => response.blob(), () => null));
  return task.kind === "analysis" ? measurements(found, sound, name) : transcriptView(found, sound, name);
}

/** Uploads a file and makes a task of it. */
export function fileJob(file, kind, options) {
  const begin = async (sending, signal) => {
    const { id } = await upload(file, sending, signal);
    return submit({ kind, input: { upload_id: id }, ...options });
  };
  return job(file.name, { begin, audio: file, request: options });
}
