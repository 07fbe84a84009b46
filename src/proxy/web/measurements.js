// An analysis: its chief numbers, its pictures, who spoke when on the waveform, and all its numbers by group.

import { make, save, speakerColour, stem } from "/web/dom.js";
import { bars, spectrum } from "/web/pictures.js";
import { player } from "/web/player.js";
import { turnsOf } from "/web/speakers.js";

/** Ends of names that are units. */
const UNITS = { s: "s", ms: "ms", hz: "Hz", db: "dB", dbfs: "dBFS", dbtp: "dBTP", lufs: "LUFS", lu: "LU", bytes: "bytes", bpm: "bpm" };

const PITCHES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

/** The numbers that are shown first: name, where they are, unit. */
const CHIEF = [
  ["duration", (found) => found.duration_s, "s"], ["loudness", (found) => found.loudness?.integrated_lufs, "LUFS"], ["true peak", (found) => found.true_peak?.true_peak_dbtp, "dBTP"],
  ["signal to noise", (found) => found.noise?.snr_wada_db, "dB"], ["pitch", (found) => found.pitch?.median_hz, "Hz"], ["reverberation", (found) => found.reverberation?.rt60_s, "s"],
  ["tempo", (found) => found.rhythm?.tempo_bpm, "bpm"], ["speakers", (found) => found.speakers?.n_speakers, ""], ["language", (found) => found.language?.code, ""], ["quality", (found) => found.quality?.distillmos, "of 5"],
];

/** A name of a field for people: true_peak_dbtp becomes "true peak (dBTP)", n_onsets "number of onsets". */
function label(name) {
  const parts = name.replace(/^n_/, "number_of_").split("_");
  const unit = parts.length > 1 ? UNITS[parts.at(-1)] : undefined;
  return unit ? `${parts.slice(0, -1).join(" ")} (${unit})` : parts.join(" ");
}

function text(value) {
  if (value === null) return "-";
  if (typeof value === "number") return Number.isInteger(value) ? value.toLocaleString() : String(Number(value.toPrecision(4)));
  if (Array.isArray(value) && value.length > 6) return `${value.length} values`;
  if (Array.isArray(value)) return value.map((part) => (Array.isArray(part) ? part.map(text).join(" to ") : text(part))).join(", ");
  if (typeof value === "object" && "mean" in value && "std" in value) return `${text(value.mean)} ± ${text(value.std)}`;
  if (typeof value === "object") return Object.entries(value).map(([name, part]) => `${label(name)}: ${text(part)}`).join("; ");
  return String(value);
}

function group(name, members) {
  // As people order them: p5 before p25.
  const inOrder = [...members].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
  const rows = inOrder.map(([member, part]) => make("tr", {}, make("th", { scope: "row", textContent: label(member) }), make("td", { textContent: text(part) })));
  return make("section", { className: "measure" }, make("h3", { textContent: name }), make("table", {}, make("tbody", {}, ...rows)));
}

/** Everything that was measured, in tables: what is a number by itself first. */
function tables(found) {
  const all = Object.entries(found).filter(([name]) => name !== "version");
  const isGroup = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const groups = all.filter(([, value]) => isGroup(value)).map(([name, value]) => group(label(name), Object.entries(value)));
  return [group("recording", all.filter(([, value]) => !isGroup(value) && !Array.isArray(value))), ...groups];
}

/** Spans of speech, coloured by speaker where speakers were told apart. */
function spans(found) {
  const speech = (found.speech?.segments_s ?? []).map(([start, end]) => ({ speaker: 0, start, end }));
  const turns = turnsOf(found);
  return (turns.length ? turns : speech).map((turn) => ({ ...turn, colour: speakerColour(turn.speaker) }));
}

export function measurements(found, audio, name) {
  const view = audio && player(audio, { spans: spans(found), duration_s: found.duration_s });
  const chief = CHIEF.map(([title, of, unit]) => [title, of(found), unit]).filter(([, value]) => value !== undefined && value !== null);
  const tiles = chief.map(([title, value, unit]) => make("div", { className: "tile" }, make("span", { className: "hint", textContent: title }), make("b", { textContent: text(value) }), ` ${unit}`));
  const pictures = make("div", { className: "pictures" });
  view?.sound.then((sound) => { pictures.prepend(spectrum(sound)); }, () => {});
  const means = (list) => list.map(({ mean }) => mean);
  if (found.chroma) pictures.append(bars("Pitch classes", means(found.chroma), PITCHES));
  if (found.mel) pictures.append(bars("Level by mel band, dB", means(found.mel).map((mean) => 60 + 10 * Math.log10(Math.max(1e-6, mean)))));
  if (found.mfcc) pictures.append(bars("Cepstrum (MFCC)", means(found.mfcc)));
  if (found.pitch) pictures.append(bars("Pitch by percentile, Hz", [found.pitch.p5_hz, found.pitch.p25_hz, found.pitch.median_hz, found.pitch.p75_hz, found.pitch.p95_hz].map((hz) => hz ?? 0), ["5", "25", "50", "75", "95"]));
  const download = make("button", { type: "button", textContent: "Download json", onclick: () => save(`${stem(name, "analysis")}.json`, JSON.stringify(found, null, 1), "application/json") });
  const element = make("div", {}, view?.element, make("div", { className: "tiles" }, ...tiles), pictures, make("div", { className: "bar" }, download), make("div", { className: "measures" }, ...tables(found)));
  return { element, leave: () => view?.leave() };
}
