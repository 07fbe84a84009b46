// The network as it goes: miners, validators, queue; tables that sort, charts that grow while one looks.

import { json } from "/web/api.js";
import { colour, drawn, make } from "/web/dom.js";

/** How often it is asked for, ms. */
const LOOK_MS = 3000;

/** Points of a chart: ten minutes. */
const POINTS = 200;

/** What was seen during this visit. */
const seen = { queued: [], running: [], answered: [], rate: [] };
let last = null;

const percent = (value) => (value === null || value === undefined ? "" : `${(100 * value).toFixed(1)} %`);
const seconds = (value) => (value === null || value === undefined ? "" : `${value.toFixed(2)} s`);
const number = (value, digits = 0) => (value === null || value === undefined ? "" : value.toLocaleString(undefined, { maximumFractionDigits: digits }));

/** Columns: heading, value to sort by, text. */
const MINERS = [
  ["uid", (miner) => miner.uid, (miner) => miner.uid ?? ""],
  ["hotkey", (miner) => miner.hotkey, (miner) => make("a", { href: `#/miner/${miner.hotkey}`, textContent: `${miner.hotkey.slice(0, 10)}..` })],
  ["kinds", (miner) => miner.kinds.join(), (miner) => miner.kinds.join(", ")],
  ["model", (miner) => miner.model ?? "", (miner) => miner.model ?? ""],
  ["quality", (miner) => miner.quality, (miner) => percent(miner.quality)],
  ["p50", (miner) => miner.latency_p50_s ?? -1, (miner) => seconds(miner.latency_p50_s)],
  ["p95", (miner) => miner.latency_p95_s ?? -1, (miner) => seconds(miner.latency_p95_s)],
  ["answered", (miner) => miner.answered, (miner) => number(miner.answered)],
  ["accepted", (miner) => (miner.answered ? miner.accepted / miner.answered : -1), (miner) => (miner.answered ? percent(miner.accepted / miner.answered) : "")],
  ["at work", (miner) => miner.leases, (miner) => `${miner.leases} of ${miner.capacity}`],
  ["incentive", (miner) => miner.incentive ?? -1, (miner) => percent(miner.incentive)],
  ["emission", (miner) => miner.emission ?? -1, (miner) => number(miner.emission, 4)],
];
const VALIDATORS = [
  ["uid", (validator) => validator.uid, (validator) => validator.uid],
  ["hotkey", (validator) => validator.hotkey, (validator) => `${validator.hotkey.slice(0, 10)}..`],
  ["stake", (validator) => validator.stake, (validator) => number(validator.stake)],
  ["dividends", (validator) => validator.dividends ?? -1, (validator) => percent(validator.dividends)],
];

/** A table whose headings sort; columns that nobody fills are left out. */
function sortable(caption, columns) {
  const body = make("tbody");
  const head = make("tr");
  let rows = [];
  let by = 0;
  let isDown = false;
  const fill = () => {
    const used = columns.filter(([, , text]) => rows.length === 0 || rows.some((row) => text(row) !== ""));
    head.replaceChildren(...used.map((column) => {
      const at = columns.indexOf(column);
      const button = make("button", { type: "button", className: "sort", textContent: column[0], onclick: () => {
        isDown = by === at ? !isDown : typeof column[1](rows[0] ?? {}) === "number";
        by = at;
        fill();
      } });
      return make("th", { scope: "col", "aria-sort": by === at ? (isDown ? "descending" : "ascending") : "none" }, button);
    }));
    const value = columns[by][1];
    const sorted = [...rows].sort((a, b) => (value(a) < value(b) ? -1 : Number(value(a) > value(b))) * (isDown ? -1 : 1));
    body.replaceChildren(...sorted.map((row) => make("tr", {}, ...used.map(([, , text]) => make("td", {}, text(row))))));
  };
  const element = make("div", { className: "scroll" }, make("table", {}, make("caption", { textContent: caption }), make("thead", {}, head), body));
  return { element, update: (next) => { rows = next; fill(); } };
}

/** A line over time with its last value in words. */
function chart(name, values, format) {
  const caption = make("figcaption");
  const canvas = make("canvas", { className: "chart", role: "img" });
  const paint = drawn(canvas, (context, width, height) => {
    const top = Math.max(1, ...values);
    context.strokeStyle = colour("accent");
    context.lineWidth = 1.5;
    context.beginPath();
    values.forEach((value, index) => context.lineTo((index / (POINTS - 1)) * width, height - 2 - (value / top) * (height - 4)));
    context.stroke();
  });
  return { element: make("figure", {}, caption, canvas), update: () => {
    const text = `${name}: ${format(values.at(-1) ?? 0)}`;
    caption.textContent = text;
    canvas.setAttribute("aria-label", `${text}; most seen ${format(Math.max(0, ...values))}`);
    paint();
  } };
}

function note(network) {
  const done = network.miners.reduce((sum, miner) => sum + miner.answered, 0);
  const now = Date.now();
  const rate = last && now > last.at ? (60_000 * Math.max(0, done - last.done)) / (now - last.at) : 0;
  last = { done, at: now };
  for (const [name, value] of Object.entries({ ...network.queue, rate })) {
    seen[name]?.push(value);
    if (seen[name]?.length > POINTS) seen[name].shift();
  }
}

/** Asks again and again until the page is left. */
function repeat(look) {
  let timer = null;
  let isLeft = false;
  const again = async () => {
    if (!document.hidden) await look().catch(() => {});
    if (!isLeft) timer = setTimeout(again, LOOK_MS);
  };
  again();
  return () => { isLeft = true; clearTimeout(timer); };
}

export async function network(main) {
  const about = make("p");
  const charts = [chart("waiting", seen.queued, number), chart("running", seen.running, number), chart("being judged", seen.answered, number),
    chart("answers a minute", seen.rate, (value) => number(value, 1))];
  const miners = sortable("Miners", MINERS);
  const validators = sortable("Validators", VALIDATORS);
  main.append(make("h1", { textContent: "Network" }), about, make("div", { className: "charts" }, ...charts.map(({ element }) => element)), miners.element, validators.element);
  const look = async () => {
    const found = await json("GET", "/v1/network");
    note(found);
    const answered = found.miners.reduce((sum, miner) => sum + miner.answered, 0);
    const accepted = found.miners.reduce((sum, miner) => sum + miner.accepted, 0);
    about.textContent = `Subnet ${found.netuid} on ${found.network}, block ${found.block}. ${found.miners.length} miners at work, ${found.validators.length} validators. `
      + (answered ? `${number(answered)} answers, ${percent(accepted / answered)} of them accepted.` : "No answers yet.");
    miners.update(found.miners);
    validators.update(found.validators);
    charts.forEach(({ update }) => update());
  };
  await look();
  return repeat(look);
}

export async function miner(main, hotkey) {
  const body = make("tbody");
  main.append(make("h1", { textContent: "Miner" }), make("p", {}, make("code", { textContent: hotkey })), make("table", {}, body));
  const look = async () => {
    const found = (await json("GET", "/v1/network")).miners.find((candidate) => candidate.hotkey === hotkey);
    const rows = found ? MINERS.slice(2).map(([name, , text]) => [name, text(found)]) : [["state", "not at work at this proxy now"]];
    if (found) rows.push(["last seen", new Date(found.last_seen_ms).toLocaleString()], ["voices", (found.voices ?? []).join(", ")]);
    body.replaceChildren(...rows.filter(([, text]) => text !== "").map(([name, text]) => make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", {}, text))));
  };
  await look();
  return repeat(look);
}
