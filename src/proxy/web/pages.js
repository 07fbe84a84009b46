// The pages where people send something: transcribe, speak, analyse; and a task by its link.

import { json, submit } from "/web/api.js";
import { field, make } from "/web/dom.js";
import { remembered } from "/web/history.js";
import { fileJob, job } from "/web/job.js";
import { recorder } from "/web/recorder.js";

const LANGUAGES = { "": "detect", en: "English", de: "German", es: "Spanish", fr: "French", it: "Italian", pt: "Portuguese", nl: "Dutch", sv: "Swedish",
  pl: "Polish", cs: "Czech", ru: "Russian", uk: "Ukrainian", tr: "Turkish", ar: "Arabic", he: "Hebrew", hi: "Hindi", zh: "Chinese", ja: "Japanese", ko: "Korean", vi: "Vietnamese" };

/** Tasks of this visit, kept while one looks at other pages. */
const jobs = { transcription: [], synthesis: [], analysis: [] };

function select(options) {
  return make("select", {}, ...Object.entries(options).map(([value, text]) => make("option", { value, textContent: text })));
}

/** A place for files: dropped, chosen, pasted or recorded. */
function intake(main, kind, options) {
  const list = make("div", { className: "jobs" }, ...jobs[kind].map((known) => known.element));
  const note = make("p", { className: "note", role: "alert" });
  const take = (files) => {
    note.textContent = "";
    for (const file of files) {
      const made = fileJob(file, kind, options());
      jobs[kind].unshift(made);
      list.prepend(made.element);
    }
  };
  const input = make("input", { type: "file", multiple: true, accept: "audio/*,video/*", id: "files", className: "hidden" });
  input.addEventListener("change", () => { take(input.files); input.value = ""; });
  const choose = make("button", { type: "button", className: "primary", textContent: "Choose files", onclick: () => input.click() });
  const zone = make("div", { className: "drop" }, make("p", { textContent: "Drop audio or video here, paste it, choose files, or record." }),
    make("div", { className: "row" }, choose, recorder((file) => take([file]), (message) => { note.textContent = message; })), input, note);
  const over = (event) => { event.preventDefault(); zone.classList.add("over"); };
  zone.addEventListener("dragover", over);
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(event.dataTransfer.files);
  });
  const paste = (event) => { if (event.clipboardData.files.length) take(event.clipboardData.files); };
  document.addEventListener("paste", paste);
  main.append(zone, list);
  return () => document.removeEventListener("paste", paste);
}

export function transcribe(main) {
  const language = select(LANGUAGES);
  const prompt = make("input", { maxLength: 1000, placeholder: "names and words to expect" });
  const translate = make("input", { type: "checkbox" });
  main.append(make("h1", { textContent: "Transcribe" }), make("div", { className: "options" }, field("Language", language), field("Hints", prompt), field("Into English", translate)));
  return intake(main, "transcription", () => ({ word_timestamps: true, ...(language.value && { language: language.value }), ...(prompt.value && { prompt: prompt.value }),
    ...(translate.checked && { task: "translate" }) }));
}

export function analyse(main) {
  const everything = make("input", { type: "checkbox" });
  main.append(make("h1", { textContent: "Analyse" }), make("p", { textContent: "Levels, loudness, noise, pitch, voice, spectrum and rhythm of a recording, by their standards." }),
    make("div", { className: "options" }, field("Also speech, speakers, language and quality", everything)));
  return intake(main, "analysis", () => (everything.checked ? { fields: [...MEASURED, "speech", "speakers", "language", "quality"] } : {}));
}

/** Fields of `violet.analysis.FIELDS` that need no model. */
const MEASURED = ["level", "true_peak", "loudness", "bandwidth", "noise", "reverberation", "spectral", "chroma", "rhythm", "pitch", "voice"];

export async function speak(main) {
  const text = make("textarea", { rows: 5, maxLength: 30_000, placeholder: "What is to be said" });
  const voice = make("select", {}, make("option", { value: "", textContent: "any" }));
  const speed = make("input", { type: "range", min: 0.5, max: 2, step: 0.05, value: 1 });
  const shown = make("output", { textContent: "1" });
  speed.addEventListener("input", () => { shown.textContent = speed.value; });
  const format = select({ mp3: "mp3", opus: "opus", flac: "flac", wav: "wav" });
  const list = make("div", { className: "jobs" }, ...jobs.synthesis.map((known) => known.element));
  const say = (what) => {
    const options = { text: what, speed: Number(speed.value), format: format.value, ...(voice.value && { voice: voice.value }) };
    const { text: input, ...rest } = options;
    const name = what.trim().slice(0, 60);
    const made = job(name, { begin: () => submit({ kind: "synthesis", input: { text: input }, ...rest }), request: options });
    jobs.synthesis.unshift(made);
    list.prepend(made.element);
  };
  const form = make("form", { className: "stack" }, field("Text", text), make("div", { className: "options" }, field("Voice", voice),
    make("button", { type: "button", textContent: "Preview", onclick: () => say("Hello. This is how I sound.") }), field("Speed", make("span", {}, speed, shown)), field("Format", format)),
  make("button", { className: "primary", textContent: "Speak" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (text.value.trim()) say(text.value);
    else text.focus();
  });
  main.append(make("h1", { textContent: "Speak" }), form, list);
  const { data } = await json("GET", "/v1/audio/voices");
  voice.append(...data.map(({ id }) => make("option", { value: id, textContent: id })));
}

export async function task(main, id) {
  const known = Object.values(jobs).flat().find((candidate) => candidate.element.querySelector(`a[href="#/task/${CSS.escape(id)}"]`));
  if (known) {
    main.append(make("h1", { textContent: "Task" }), known.element);
    return undefined;
  }
  const found = await json("GET", `/v1/tasks/${encodeURIComponent(id)}`);
  const name = found.input.name ?? remembered().find((entry) => entry.id === id)?.name ?? id;
  const made = job(name, { task: found });
  main.append(make("h1", { textContent: "Task" }), made.element);
  return made.leave;
}
