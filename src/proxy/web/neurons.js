// What is shown of miners and validators, in tables and on a page of one.

import { make, short } from "/web/dom.js";

const isThere = (value) => value !== null && value !== undefined;
export const percent = (value) => (isThere(value) ? `${(100 * value).toFixed(1)}\u00a0%` : "");
export const seconds = (value) => (isThere(value) ? `${value.toFixed(2)}\u00a0s` : "");
export const number = (value, digits = 0) => (isThere(value) ? value.toLocaleString(undefined, { maximumFractionDigits: digits }) : "");

/** Share of its leases that a miner answered; null before the first that ended. */
function availability({ account }) {
  const n = account ? account.answered + account.silent : 0;
  return n ? account.answered / n : null;
}

/** Columns: heading, value to sort by, text. */
export const MINERS = [
  ["uid", (miner) => miner.uid ?? -1, (miner) => miner.uid ?? ""],
  ["hotkey", (miner) => miner.hotkey, (miner) => make("a", { href: `#/miner/${miner.hotkey}`, textContent: short(miner.hotkey), title: miner.hotkey })],
  ["kinds", (miner) => miner.kinds.join(), (miner) => make("span", { className: "wrap", textContent: miner.kinds.join(", ") })],
  ["model", (miner) => miner.model ?? "", (miner) => miner.model ?? ""],
  ["quality", (miner) => miner.quality, (miner) => percent(miner.quality)],
  ["p50", (miner) => miner.latency_p50_s ?? -1, (miner) => seconds(miner.latency_p50_s)],
  ["p95", (miner) => miner.latency_p95_s ?? -1, (miner) => seconds(miner.latency_p95_s)],
  ["availability", (miner) => availability(miner) ?? -1, (miner) => percent(availability(miner))],
  ["answered", (miner) => miner.answered, (miner) => number(miner.answered)],
  ["accepted", (miner) => (miner.answered ? miner.accepted / miner.answered : -1), (miner) => (miner.answered ? percent(miner.accepted / miner.answered) : "")],
  ["at work", (miner) => miner.leases, (miner) => `${miner.leases} of ${miner.capacity}`],
  ["weight", (miner) => miner.incentive ?? -1, (miner) => percent(miner.incentive)],
  ["emission", (miner) => miner.emission ?? -1, (miner) => number(miner.emission, 4)],
];

export const VALIDATORS = [
  ["uid", (validator) => validator.uid, (validator) => validator.uid],
  ["hotkey", (validator) => validator.hotkey, (validator) => make("span", { textContent: short(validator.hotkey), title: validator.hotkey })],
  ["stake", (validator) => validator.stake, (validator) => number(validator.stake)],
  ["verdicts", (validator) => validator.verdicts ?? -1, (validator) => number(validator.verdicts)],
  ["agreement", (validator) => validator.agreement ?? -1, (validator) => percent(validator.agreement)],
  ["trust", (validator) => validator.trust ?? -1, (validator) => percent(validator.trust)],
  ["dividends", (validator) => validator.dividends ?? -1, (validator) => percent(validator.dividends)],
  ["emission", (validator) => validator.emission ?? -1, (validator) => number(validator.emission, 4)],
];
