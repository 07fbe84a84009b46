// What validators said about a task, and its life as a timeline.

import { make } from "/web/dom.js";

const WORDS = {
  queued: "waits for a miner", running: "a miner works on it", answered: "answered; validators are judging it", verified: "verified by validators",
  unverified: "answered; no quorum of validators judged it in time", failed: "failed", cancelled: "cancelled",
};

function short(hotkey) {
  return hotkey ? `${hotkey.slice(0, 6)}..${hotkey.slice(-4)}` : "";
}

/** The state as a badge, with the score of the answer where there is a verdict. */
export function badge(task) {
  const score = task.verdict?.scores?.[task.answer?.response_id];
  const text = WORDS[task.state] + (score === undefined ? "" : `: ${(100 * score).toFixed(0)} of 100`);
  return make("span", { className: `badge ${task.state}`, textContent: text, title: task.reason ?? "" });
}

function table(heads, rows) {
  return make("div", { className: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", textContent: text })))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell)))))));
}

/** Who answered, how fast, and what each validator gave. */
export function details(task) {
  const box = make("details", { className: "details" }, make("summary", { textContent: "Miners and validators" }));
  const rows = task.slots.map((slot) => {
    const score = task.verdict?.scores?.[slot.response_id];
    const is = task.answer && slot.response_id === task.answer.response_id ? "this answer" : "";
    return [slot.miner ? make("a", { href: `#/miner/${slot.miner}`, textContent: short(slot.miner) }) : "-", slot.state,
      slot.latency_s === null ? "" : `${slot.latency_s.toFixed(1)} s`, score === undefined ? "" : (100 * score).toFixed(0), [is, slot.reason].filter(Boolean).join("; ")];
  });
  box.append(table(["Miner", "State", "Time", "Score", ""], rows));
  const evaluations = task.verdict?.evaluations ?? [];
  if (evaluations.length) {
    box.append(table(["Validator", "Scores"], evaluations.map((evaluation) => [short(evaluation.validator),
      Object.values(evaluation.scores).map((score) => (100 * (score.score ?? score)).toFixed(0)).join(", ")])));
  }
  return box;
}

/** What happened when: [{state, at_ms}]. */
export function timeline(steps) {
  const first = steps[0]?.at_ms ?? 0;
  return make("ol", { className: "timeline", "aria-label": "life of the task" }, ...steps.map((step) =>
    make("li", { className: step.state }, make("b", { textContent: step.state }), ` ${((step.at_ms - first) / 1000).toFixed(1)} s`)));
}
