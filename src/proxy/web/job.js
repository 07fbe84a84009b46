// One task on the screen, from its upload to its answer: progress, errors that say what to do, and what came of it.

import { ApiError, call, isFinal, json, submit, upload, watch } from "/web/api.js";
import { make } from "/web/dom.js";
import { remember } from "/web/history.js";
import { measurements } from "/web/measurements.js";
import { player } from "/web/player.js";
import { inTurn } from "/web/queue.js";
import { snippets } from "/web/snippets.js";
import { turnsOf } from "/web/speakers.js";
import { stream } from "/web/stream.js";
import { transcriptView } from "/web/transcript.js";
import { badge, details, timeline } from "/web/verdict.js";

/** A card for a task; `begin` makes the task, `audio` is the file where it is here, `request` what was asked for. */
export function job(name, { begin, task: known, audio = null, request = null, kind = known?.kind }) {
  const stop = new AbortController();
  const state = make("span", { className: "state", role: "status" });
  const bar = make("progress", { max: 1, value: 0, "aria-label": `progress of ${name}` });
  const partial = make("p", { className: "partial", "aria-label": "text so far" });
  const result = make("div");
  const more = make("div");
  const cancel = make("button", { type: "button", textContent: "Cancel" });
  const again = make("button", { type: "button", textContent: "Try again", hidden: true });
  const link = make("a", { className: "link", textContent: "link", hidden: true, "aria-label": `link to ${name}` });
  const card = make("section", { className: "card", "aria-label": name }, link, make("h2", { textContent: name }),
    make("div", { className: "row" }, state, cancel, again), bar, partial, result, more);
  const place = make("div", {}, card);
  /** What stands here instead after "Try again". */
  let next = null;
  /** Everything that was told of the task, for its timeline. */
  let steps = [];
  let task = known ?? null;
  let shown = null;
  let view = null;

  const isOver = () => {
    bar.remove();
    cancel.remove();
    partial.remove();
  };
  const fail = (error) => {
    if (error.name === "AbortError") return;
    isOver();
    card.classList.add("failed");
    again.hidden = false;
    state.textContent = error instanceof ApiError ? error.message : `${error.name}: ${error.message}`;
  };
  const sending = (share) => {
    state.textContent = share === null ? "waiting for the uploads before it" : `uploading ${Math.round(100 * share)} %`;
    bar.value = share ?? 0;
  };
  const progress = () => {
    if (task.state === "queued") state.textContent = task.queue_position ? `place ${task.queue_position} in the queue` : "in the queue";
    else if (task.state === "running") state.textContent = `a miner is working on it, ${Math.round(100 * task.progress)} %`;
    bar.value = task.progress;
    partial.textContent = task.answer ? "" : task.partial ?? "";
    partial.scrollTop = partial.scrollHeight;
  };

  async function show() {
    const { response_id: response } = task.answer;
    // A better answer may replace the first one once validators have spoken; not under the hands of who edits it.
    if (shown === null || (shown !== response && !view.isEdited?.())) {
      shown = response;
      isOver();
      view?.leave?.();
      view = await answer(task, name, audio, Boolean(begin));
      result.replaceChildren(view.element);
    }
    const isOther = shown !== response;
    state.replaceChildren(badge(task), ...(isOther ? [" Validators prefer another answer. Open this task's link to see it; the one shown here stays."] : []));
    const open = new Set([...more.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
    more.replaceChildren(...[steps.length > 1 ? timeline(steps) : null, details(task), request ? snippets(kind, name, request) : null].filter(Boolean));
    for (const summary of more.querySelectorAll("summary")) summary.parentElement.open = open.has(summary.textContent);
  }

  async function run() {
    steps = [];
    task ??= await begin(sending, stop.signal);
    remember(task, name);
    link.href = `#/task/${task.id}`;
    link.hidden = false;
    // Of a task that ended, all of its life comes at once: only its end is shown.
    const isPast = isFinal(task);
    for await (task of watch(task, stop.signal)) {
      if (task.version !== steps.at(-1)?.version) steps.push(task);
      if (task.state !== steps.at(-2)?.state) remember(task, name);
      if (isPast && !isFinal(task)) continue;
      progress();
      if (task.answer) await show();
    }
    if (!task.answer || task.state === "failed") {
      fail(new ApiError(task.state === "cancelled" ? "Cancelled." : `Failed: ${task.reason}`, 0, task.state));
      if (steps.length > 1) more.replaceChildren(timeline(steps), details(task));
    }
  }

  cancel.addEventListener("click", async () => {
    if (task) {
      // The task's own events tell the rest.
      await json("POST", `/v1/tasks/${task.id}/cancel`).catch(fail);
    } else {
      stop.abort();
      isOver();
      state.textContent = "Cancelled.";
    }
  });
  again.addEventListener("click", () => {
    const { id } = task ?? {};
    const repeat = task ? () => json("POST", `/v1/tasks/${id}/retry`) : begin;
    view?.leave?.();
    next = job(name, { begin: repeat, audio, request, kind });
    place.replaceChildren(next.element);
  });
  return { element: place, done: run().catch(fail), leave: () => { stop.abort(); view?.leave?.(); next?.leave(); }, id: () => next?.id() ?? task?.id };
}

/** The answer of a task, to look at and listen to. */
async function answer(task, name, audio, isNew) {
  if (task.kind === "synthesis") return spoken(task, isNew);
  const found = await json("GET", `/v1/tasks/${task.id}/result`);
  const sound = audio ?? (await call("GET", `/v1/tasks/${task.id}/audio`).then((response) => response.blob(), () => null));
  if (task.kind === "analysis") return measurements(found, sound, name);
  return transcriptView(found, sound, name, { response: task.answer.response_id, turns: task.metadata.speakers ? turns(task.metadata.speakers) : null });
}

/** The turns of speakers from the analysis that was asked for beside a transcription. */
async function turns(id) {
  const found = { id };
  for await (const now of watch(found)) {
    if (now.answer) return turnsOf(await json("GET", `/v1/tasks/${id}/result`));
    if (isFinal(now)) throw new Error(now.reason ?? now.state);
  }
  return [];
}

const ENDINGS = { "audio/mpeg": "mp3", "audio/aac": "aac", "audio/flac": "flac", "audio/wav": "wav", "audio/ogg": "opus" };

function spoken(task, isNew) {
  const source = stream(`/v1/tasks/${task.id}/audio`);
  const view = player(source, { duration_s: task.answer.audio?.duration_s });
  // Who pressed "Speak" waits to hear it.
  view.audio.autoplay = isNew;
  const bar = make("div", { className: "bar" });
  source.blob.then((blob) => {
    const ending = ENDINGS[blob.type] ?? "pcm";
    bar.append(make("a", { className: "button", href: URL.createObjectURL(blob), download: `speech.${ending}`, textContent: `Download ${ending}` }));
  }, (error) => { bar.append(make("p", { className: "note", textContent: error.message })); });
  return { element: make("div", {}, view.element, bar), leave: view.leave };
}

/** Uploads a file and makes a task of it; `withSpeakers` makes another that tells the speakers apart. */
export function fileJob(file, kind, options, withSpeakers = false) {
  const begin = async (sending, signal) => {
    sending(null);
    const { id } = await inTurn(() => upload(file, sending, signal));
    const input = { upload_id: id };
    const metadata = {};
    if (withSpeakers) metadata.speakers = (await submit({ kind: "analysis", input, fields: ["speakers"] })).id;
    return submit({ kind, input, ...options, ...(withSpeakers && { metadata }) });
  };
  return job(file.name, { begin, audio: file, request: options, kind });
}
