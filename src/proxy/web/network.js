// The network as it goes: miners, validators, queue; tables that sort, charts that grow while one looks.

import { json } from "/web/api.js";
import { chart, Series } from "/web/chart.js";
import { copyButton, make, short } from "/web/dom.js";
import { MINERS, number, percent, seconds, VALIDATORS } from "/web/neurons.js";
import { sortable } from "/web/sortable.js";

/** How often it is asked for, ms. */
const LOOK_MS = 3000;

/** What was seen during this visit: of the network, and of each miner by its hotkey. */
const seen = { queued: new Series(), running: new Series(), answered: new Series(), rate: new Series(), success: new Series(), agreement: new Series() };
const miners = new Map();
let last = null;

function note(network) {
  const done = network.miners.reduce((sum, miner) => sum + miner.answered, 0);
  const now = Date.now();
  // Another page may have looked a moment ago.
  if (last && now - last.at < LOOK_MS / 2) return;
  seen.rate.add(last ? (60_000 * Math.max(0, done - last.done)) / (now - last.at) : 0);
  last = { done, at: now };
  for (const name of ["queued", "running", "answered"]) seen[name].add(network.queue[name]);
  const { lately } = network;
  seen.success.add(lately?.tasks ? lately.verified / lately.tasks : null);
  seen.agreement.add(lately?.agreement ?? null);
  for (const miner of network.miners) {
    const series = miners.get(miner.hotkey) ?? { quality: new Series(), latency: new Series(), leases: new Series() };
    miners.set(miner.hotkey, series);
    series.quality.add(miner.quality);
    series.latency.add(miner.latency_p50_s ?? null);
    series.leases.add(miner.leases);
  }
}

/** Asks again and again until the page is left; what fails is said and tried again. */
async function repeat(main, look) {
  const trouble = make("p", { className: "note", role: "status" });
  main.querySelector("h1").after(trouble);
  let timer = null;
  let isLeft = false;
  const again = async () => {
    if (!document.hidden) await look().then(() => { trouble.textContent = ""; }, (error) => { trouble.textContent = `${error.message} Trying again…`; });
    if (!isLeft) timer = setTimeout(again, LOOK_MS);
  };
  await again();
  return () => { isLeft = true; clearTimeout(timer); };
}

async function look() {
  const found = await json("GET", "/v1/network");
  note(found);
  return found;
}

/** What the network is and how the last tasks went, in a sentence or two. */
function summary({ netuid, network, block, miners: here, validators, lately }) {
  const words = [`Subnet ${netuid} on ${network}, block ${number(block)}.`, `${here.length} ${here.length === 1 ? "miner" : "miners"} at work, ${validators.length} ${validators.length === 1 ? "validator" : "validators"}.`];
  if (lately?.tasks) {
    words.push(`${number(lately.tasks)} ${lately.tasks === 1 ? "task" : "tasks"} ended lately: ${percent(lately.verified / lately.tasks)} were verified`
      + (lately.answer_p50_s === null ? "." : `; half were answered within ${seconds(lately.answer_p50_s)}, 95 % within ${seconds(lately.answer_p95_s)}.`));
  }
  return words.join(" ");
}

export function network(main) {
  const about = make("p");
  const charts = [chart("waiting", seen.queued, number), chart("running", seen.running, number), chart("being judged", seen.answered, number),
    chart("answers a minute", seen.rate, (value) => number(value, 1)), chart("verified", seen.success, percent), chart("verdict agreement", seen.agreement, percent)];
  const tables = { miners: sortable("Miners", MINERS, "No miner is at work here now."), validators: sortable("Validators", VALIDATORS, "No validator has a permit and enough stake.") };
  main.append(make("h1", { textContent: "Network" }), about, make("div", { className: "charts" }, ...charts.map(({ element }) => element)), tables.miners.element, tables.validators.element);
  return repeat(main, async () => {
    const found = await look();
    about.textContent = summary(found);
    tables.miners.update(found.miners);
    tables.validators.update(found.validators);
    charts.forEach(({ update }) => update());
  });
}

export function miner(main, hotkey) {
  const body = make("tbody");
  const charts = make("div", { className: "charts" });
  main.append(make("p", {}, make("a", { href: "#/network", textContent: "Network" })), make("h1", { textContent: `Miner ${short(hotkey)}` }),
    make("p", { className: "row" }, make("code", { textContent: hotkey }), copyButton(() => hotkey)), charts, make("div", { className: "scroll" }, make("table", {}, body)));
  let drawn = null;
  return repeat(main, async () => {
    const found = (await look()).miners.find((candidate) => candidate.hotkey === hotkey);
    const rows = found ? [...MINERS.slice(0, 1), ...MINERS.slice(2)].map(([name, , text]) => [name, text(found)]) : [["state", "not at work at this proxy now"]];
    if (found) rows.push(["voices", (found.voices ?? []).join(", ")], ["last seen", new Date(found.last_seen_ms).toLocaleString()]);
    body.replaceChildren(...rows.filter(([, text]) => text !== "").map(([name, text]) => make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", {}, text))));
    const series = miners.get(hotkey);
    if (series && !drawn) {
      drawn = [chart("quality", series.quality, percent), chart("p50 latency", series.latency, seconds), chart("tasks at work", series.leases, number)];
      charts.append(...drawn.map(({ element }) => element));
    }
    drawn?.forEach(({ update }) => update());
  });
}
