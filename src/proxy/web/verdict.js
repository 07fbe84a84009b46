// What validators said about a task, and its life as a timeline.

import { clock, make, short, table } from "/web/dom.js";

const WORDS = {
  queued: "waiting for a miner", running: "a miner is working on it", answered: "answered; validators are judging it", verified: "verified by validators",
  unverified: "answered; too few validators judged it in time", failed: "failed", cancelled: "cancelled",
};

const of100 = (score) => (100 * score).toFixed(0);

/** The state as a badge, with the score of the answer where there is a verdict. */
export function badge(task) {
  const score = task.verdict?.scores?.[task.answer?.response_id];
  const text = WORDS[task.state] + (score === undefined ? "" : `: ${of100(score)} of 100`);
  return make("span", { className: `badge ${task.state}`, textContent: text, title: task.reason ?? "" });
}

function miner(hotkey) {
  return hotkey ? make("a", { href: `#/miner/${hotkey}`, textContent: short(hotkey), title: hotkey }) : "-";
}

/** Who answered, how fast, and what each validator gave. */
export function details(task) {
  const evaluations = task.verdict?.evaluations ?? [];
  const judges = evaluations.map((evaluation) => short(evaluation.validator));
  const rows = task.slots.map((slot) => {
    const score = task.verdict?.scores?.[slot.response_id];
    const is = task.answer && slot.response_id === task.answer.response_id ? "this answer" : "";
    const given = evaluations.map(({ scores }) => scores[slot.response_id]);
    // A place that nobody took is no answer that was refused.
    const state = slot.state === "rejected" && !slot.miner ? "not used" : slot.state;
    return [miner(slot.miner), state, slot.latency_s === null ? "" : `${slot.latency_s.toFixed(1)} s`, score === undefined ? "" : of100(score),
      ...given.map((one) => (one === undefined ? "" : of100(one.score ?? one))), [is, slot.reason].filter(Boolean).join("; ")];
  });
  const heads = ["Miner", "State", "Time", "Score", ...judges.map((judge) => `by ${judge}`), ""];
  return make("details", { className: "details" }, make("summary", { textContent: "Miners and validators" }), table("Miners and validators", heads, rows));
}

/** One stretch of time in a lane of the timeline. */
function stretch(className, from, until, whole, text) {
  const bar = make("span", { className: `stretch ${className}`, title: text });
  bar.style.left = `${(100 * from) / whole}%`;
  bar.style.width = `${Math.max(0.5, (100 * (until - from)) / whole)}%`;
  return bar;
}

/** Seconds since the task was made, in words. */
function since(ms) {
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : clock(ms / 1000);
}

/** When each slot was with a miner, as far as the task's changes tell: [{index, miner, from, until, state}]. */
function leases(steps) {
  const found = [];
  for (const step of steps) {
    for (const slot of step.slots) {
      const open = found.findLast((lease) => lease.index === slot.index);
      const isAt = slot.miner && slot.state !== "open";
      if (isAt && (!open || open.miner !== slot.miner)) found.push({ index: slot.index, miner: slot.miner, from: step.updated_at_ms, until: null, state: slot.state });
      else if (open && open.until === null && slot.state !== "leased") open.until = step.updated_at_ms;
      const last = found.findLast((lease) => lease.index === slot.index);
      if (last && last.miner === slot.miner) last.state = slot.state;
    }
  }
  return found;
}

/** The life of a task from all that was told of it: its states, and below them what each miner did. */
export function timeline(steps) {
  const begin = steps[0].created_at_ms;
  const end = steps.at(-1).updated_at_ms;
  const whole = Math.max(1, end - begin);
  const states = steps.filter((step, index) => step.state !== steps[index - 1]?.state);
  const list = make("ol", { className: "states", "aria-label": "life of the task" }, ...states.map((step, index) =>
    make("li", { className: step.state }, make("b", { textContent: step.state }), ` ${index ? `after ${since(step.updated_at_ms - begin)}` : "at the start"}`)));
  const lane = (name, ...stretches) => make("div", { className: "lane" }, make("span", { className: "hint", textContent: name }), make("span", { className: "track" }, ...stretches));
  const task = lane("task", ...states.slice(0, -1).map((step, index) =>
    stretch(step.state, (index ? step.updated_at_ms : begin) - begin, states[index + 1].updated_at_ms - begin, whole, `${WORDS[step.state]} until ${since(states[index + 1].updated_at_ms - begin)}`)));
  const slots = leases(steps);
  const lanes = slots.map(({ miner: hotkey, from, until, state }) =>
    lane(short(hotkey), stretch(state, from - begin, (until ?? end) - begin, whole, `${state}: ${since(from - begin)} to ${since((until ?? end) - begin)}`)));
  return make("div", { className: "timeline" }, list, make("div", { className: "lanes", "aria-hidden": "true" }, task, ...lanes));
}
