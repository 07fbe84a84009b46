// An analysis: its numbers by group, who spoke when on the waveform, and its picture where one was asked for.

import { colour, make, save } from "/web/dom.js";
import { player } from "/web/player.js";

/** A name of a field for people: true_peak_dbtp becomes "true peak (dBTP)". */
const UNITS = { s: "s", ms: "ms", hz: "Hz", db: "dB", dbfs: "dBFS", dbtp: "dBTP", lufs: "LUFS", lu: "LU", bytes: "bytes" };

function label(name) {
  const parts = name.split("_");
  const unit = parts.length > 1 ? UNITS[parts.at(-1)] : undefined;
  return unit ? `${parts.slice(0, -1).join(" ")} (${unit})` : parts.join(" ");
}

function text(value) {
  if (value === null) return "-";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  if (Array.isArray(value)) return value.length > 16 ? `${value.slice(0, 16).map(text).join(", ")} .. (${value.length})` : value.map(text).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([name, part]) => `${label(name)}: ${text(part)}`).join("; ");
  return String(value);
}

function group(name, value) {
  const members = value !== null && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : [[name, value]];
  const rows = members.map(([member, part]) => make("tr", {}, make("th", { scope: "row", textContent: label(member) }), make("td", { textContent: text(part) })));
  return make("section", { className: "measure" }, make("h3", { textContent: label(name) }), make("table", {}, make("tbody", {}, ...rows)));
}

/** Spans of speech, coloured by speaker where speakers were told apart. */
function spans(found) {
  const turns = found.speakers?.turns ?? found.speech?.segments_s ?? [];
  return turns.map((turn) => ({ start: turn.start_s ?? turn[0], end: turn.end_s ?? turn[1], colour: colour(`speaker-${(turn.speaker ?? 0) % 6}`) }));
}

export function measurements(found, audio, name) {
  const view = audio && player(audio, { spans: spans(found) });
  const stem = name.replace(/\.\w{1,5}$/, "") || "analysis";
  const groups = Object.entries(found).filter(([, value]) => value !== undefined).map(([key, value]) => group(key, value));
  const download = make("button", { type: "button", textContent: "Download json", onclick: () => save(`${stem}.json`, JSON.stringify(found, null, 1), "application/json") });
  return { element: make("div", {}, view?.element, make("div", { className: "bar" }, download), make("div", { className: "measures" }, ...groups)), leave: () => view?.leave() };
}
