// What was submitted in this browser, and the list of it.

import { json, key } from "/web/api.js";
import { make } from "/web/dom.js";

const NAME = "violet.history";

/** How many are kept. */
const LIMIT = 200;

/** Tasks that are asked for at a time. */
const PAGE = 50;

function keep(entries) {
  localStorage.setItem(NAME, JSON.stringify(entries.slice(0, LIMIT)));
}

/** Notes a task, or its newest state. */
export function remember(task, name) {
  const before = remembered();
  const at = before.findIndex((entry) => entry.id === task.id);
  if (at >= 0) before[at].state = task.state;
  else before.unshift({ id: task.id, kind: task.kind, name, at: task.created_at_ms, state: task.state });
  keep(before);
}

export function remembered() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? [];
  } catch {
    return [];
  }
}

function row(id, kind, name, at, state) {
  return make("tr", {}, make("td", {}, make("a", { className: "wrap", href: `#/task/${id}`, textContent: name || id })), make("td", { textContent: kind }),
    make("td", {}, make("span", { className: "wrap", textContent: new Date(at).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" }) })), make("td", { textContent: state ?? "" }));
}

export async function history(main) {
  const body = make("tbody");
  const head = make("thead", {}, make("tr", {}, ...["What", "Kind", "When", "State"].map((text) => make("th", { scope: "col", textContent: text }))));
  const about = key() ? "All tasks of your API key, from every machine." : "Tasks sent from this browser. With an API key you see those from all your machines.";
  main.append(make("h1", { textContent: "History" }), make("p", { className: "hint", textContent: about }), make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Tasks" }, make("table", {}, head, body)));
  const here = remembered();
  const more = make("button", { type: "button", textContent: "Show older tasks", hidden: true });
  let next = null;
  // With a key the proxy knows whose tasks are whose.
  const load = async () => {
    const found = await json("GET", `/v1/tasks?limit=${PAGE}${next ? `&after=${next}` : ""}`);
    body.append(...found.data.map((task) => row(task.id, task.kind, task.input.name ?? here.find(({ id }) => id === task.id)?.name, task.created_at_ms, task.state)));
    ({ next } = found);
    more.hidden = !next;
  };
  more.addEventListener("click", load);
  if (key()) await load();
  else body.append(...here.map((entry) => row(entry.id, entry.kind, entry.name, entry.at, entry.state)));
  if (!body.children.length) main.append(make("p", { textContent: "Nothing yet." }));
  const forget = make("button", { type: "button", textContent: "Clear this browser's list", hidden: !here.length, onclick: () => {
    localStorage.removeItem(NAME);
    location.reload();
  } });
  main.append(make("div", { className: "row" }, more, forget));
}
