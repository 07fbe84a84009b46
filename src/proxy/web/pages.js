// The pages where people send something: transcribe, speak, analyse; and a task by its link.

import { json, submit } from "/web/api.js";
import { field, make, select } from "/web/dom.js";
import { remembered } from "/web/history.js";
import { fileJob, job } from "/web/job.js";
import { recorder } from "/web/recorder.js";

const LANGUAGES = { "": "detect", en: "English", de: "German", es: "Spanish", fr: "French", it: "Italian", pt: "Portuguese", nl: "Dutch", sv: "Swedish",
  pl: "Polish", cs: "Czech", ru: "Russian", uk: "Ukrainian", tr: "Turkish", ar: "Arabic", he: "Hebrew", hi: "Hindi", zh: "Chinese", ja: "Japanese", ko: "Korean", vi: "Vietnamese" };

/** What a voice says to be heard before it is chosen. */
const PREVIEW = "Hello. This is how I sound.";

/** Tasks of this visit, kept while one looks at other pages. */
const jobs = { transcription: [], synthesis: [], analysis: [] };

function shown(kind) {
  return make("div", { className: "jobs" }, ...jobs[kind].map(({ element }) => element));
}

function add(list, kind, made) {
  jobs[kind].unshift(made);
  list.prepend(made.element);
}

/** Who would do it: says so where nobody would. */
async function readiness(kind) {
  const line = make("p", { className: "hint", role: "status" });
  const { miners, queue } = await json("GET", "/v1/network").catch(() => ({ miners: null }));
  if (miners === null) return line;
  const able = miners.filter(({ kinds }) => kinds.includes(kind)).length;
  if (able === 0) line.textContent = `No miner here does ${kind} now. What you send will wait, and fail after ten minutes; the operator of this proxy can start a miner with "violet miner".`;
  else line.textContent = `${able} ${able === 1 ? "miner is" : "miners are"} ready; ${queue.queued ? `${queue.queued} ${queue.queued === 1 ? "task is" : "tasks are"} waiting.` : "nothing is waiting."}`;
  return line;
}

/** A place for files: dropped, chosen, pasted or recorded. */
async function intake(main, kind, begin) {
  const list = shown(kind);
  const note = make("p", { className: "note", role: "alert" });
  const take = (files) => {
    note.textContent = "";
    for (const file of files) {
      if (file.size === 0) note.textContent = `${file.name} is empty. Choose a file with sound in it.`;
      else add(list, kind, begin(file));
    }
  };
  const input = make("input", { type: "file", multiple: true, accept: "audio/*,video/*", hidden: true, "aria-label": "audio files" });
  input.addEventListener("change", () => { take(input.files); input.value = ""; });
  const choose = make("button", { type: "button", className: "primary", textContent: "Choose files", onclick: () => input.click() });
  const zone = make("div", { className: "drop" }, make("p", { textContent: "Drop audio or video here, paste it, or" }),
    make("div", { className: "row" }, choose, recorder((file) => take([file]), (message) => { note.textContent = message; })), input, note);
  const over = (event) => { event.preventDefault(); zone.classList.add("over"); };
  zone.addEventListener("dragover", over);
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
    else note.textContent = "That is not a file. Save it first, then drop the file.";
  });
  // Beside the zone, a dropped file would replace this page.
  const miss = (event) => event.preventDefault();
  const paste = (event) => { if (event.clipboardData.files.length) take(event.clipboardData.files); };
  const heard = { dragover: miss, drop: miss, paste };
  for (const [name, listener] of Object.entries(heard)) document.addEventListener(name, listener);
  main.append(zone, list);
  zone.append(await readiness(kind));
  return () => { for (const [name, listener] of Object.entries(heard)) document.removeEventListener(name, listener); };
}

export function transcribe(main) {
  const language = select(LANGUAGES);
  const prompt = make("input", { maxLength: 1000, placeholder: "names and words to expect", size: 28 });
  const [translate, speakers] = [make("input", { type: "checkbox" }), make("input", { type: "checkbox" })];
  main.append(make("h1", { textContent: "Transcribe" }), make("div", { className: "options" }, field("Language", language), field("Hints", prompt),
    field("Into English", translate), field("Tell speakers apart", speakers)));
  const options = () => ({ word_timestamps: true, ...(language.value && { language: language.value }), ...(prompt.value && { prompt: prompt.value }),
    ...(translate.checked && { task: "translate" }) });
  return intake(main, "transcription", (file) => fileJob(file, "transcription", options(), speakers.checked));
}

/** Fields of `violet.analysis.FIELDS` that need no model. */
const MEASURED = ["level", "true_peak", "loudness", "bandwidth", "noise", "reverberation", "spectral", "mel", "mfcc", "chroma", "rhythm", "pitch", "voice"];

export function analyse(main) {
  const everything = make("input", { type: "checkbox" });
  main.append(make("h1", { textContent: "Analyse" }), make("p", { textContent: "Measures the level, loudness, noise, pitch, voice, spectrum and rhythm of a recording, by the published standards." }),
    make("div", { className: "options" }, field("Also speech, speakers, language and quality", everything)));
  const options = () => ({ fields: everything.checked ? [...MEASURED, "speech", "speakers", "language", "quality"] : MEASURED });
  return intake(main, "analysis", (file) => fileJob(file, "analysis", options()));
}

export async function speak(main) {
  const text = make("textarea", { rows: 5, maxLength: 30_000, placeholder: "Type what to say" });
  const voice = select({ "": "any" });
  const speed = make("input", { type: "range", min: 0.5, max: 2, step: 0.05, value: 1 });
  const shownSpeed = make("output", { textContent: "1×" });
  speed.addEventListener("input", () => { shownSpeed.textContent = `${speed.value}×`; });
  const format = select({ mp3: "mp3", aac: "aac", opus: "opus", flac: "flac", wav: "wav" });
  const list = shown("synthesis");
  const say = (what, name) => {
    const rest = { speed: Number(speed.value), format: format.value, ...(voice.value && { voice: voice.value }) };
    add(list, "synthesis", job(name, { begin: () => submit({ kind: "synthesis", input: { text: what }, ...rest }), request: { text: what, ...rest }, kind: "synthesis" }));
  };
  const preview = make("button", { type: "button", textContent: "Hear it", "aria-label": "hear this voice", onclick: () => say(PREVIEW, `Voice: ${voice.value || "any"}`) });
  const form = make("form", { className: "stack" }, field("Text", text),
    make("div", { className: "options" }, make("div", { className: "beside" }, field("Voice", voice), preview), field("Speed", make("span", { className: "beside" }, speed, shownSpeed)), field("Format", format)),
    make("button", { className: "primary", textContent: "Speak" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (text.value.trim()) say(text.value, text.value.trim().replace(/\s+/g, " ").slice(0, 60));
    else text.focus();
  });
  main.append(make("h1", { textContent: "Speak" }), form, list);
  const { data } = await json("GET", "/v1/audio/voices");
  voice.append(...data.map(({ id }) => make("option", { value: id, textContent: id })));
  form.append(await readiness("synthesis"));
}

export async function task(main, id) {
  main.append(make("h1", { textContent: "Task" }), make("p", { className: "hint" }, make("code", { textContent: id })));
  const known = Object.values(jobs).flat().find((candidate) => candidate.id() === id);
  if (known) {
    main.append(known.element);
    return undefined;
  }
  const found = await json("GET", `/v1/tasks/${encodeURIComponent(id)}`);
  const name = found.input.name ?? remembered().find((entry) => entry.id === id)?.name ?? id;
  const made = job(name, { task: found });
  main.append(made.element);
  return made.leave;
}
