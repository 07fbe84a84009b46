// What was submitted in this browser, and the list of it.

import { json, key } from "/web/api.js";
import { make } from "/web/dom.js";

const NAME = "violet.history";

/** How many are kept. */
const LIMIT = 200;

export function remember(task, name) {
  const kept = remembered().filter((entry) => entry.id !== task.id);
  kept.unshift({ id: task.id, kind: task.kind, name, at: Date.now() });
  localStorage.setItem(NAME, JSON.stringify(kept.slice(0, LIMIT)));
}

export function remembered() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? [];
  } catch {
    return [];
  }
}

function row(id, kind, name, at, state) {
  return make("tr", {}, make("td", {}, make("a", { href: `#/task/${id}`, textContent: name || id })), make("td", { textContent: kind }),
    make("td", { textContent: new Date(at).toLocaleString() }), make("td", { textContent: state ?? "" }));
}

export async function page(main) {
  const body = make("tbody");
  const head = make("thead", {}, make("tr", {}, ...["What", "Kind", "When", "State"].map((text) => make("th", { scope: "col", textContent: text }))));
  main.append(make("h1", { textContent: "History" }), make("div", { className: "scroll" }, make("table", {}, head, body)));
  const here = remembered();
  if (key()) {
    // With a key the proxy knows whose tasks are whose, on every machine.
    const { data } = await json("GET", "/v1/tasks?limit=100");
    body.append(...data.map((task) => row(task.id, task.kind, task.input.name, task.created_at_ms, task.state)));
  } else {
    body.append(...here.map((entry) => row(entry.id, entry.kind, entry.name, entry.at)));
  }
  if (!body.children.length) main.append(make("p", { textContent: "Nothing yet." }));
  if (here.length) {
    main.append(make("button", { type: "button", textContent: "Forget the list of this browser", onclick: () => {
      localStorage.removeItem(NAME);
      location.reload();
    } }));
  }
}
