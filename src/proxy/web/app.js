// The page: which part of it is shown, the API key, and what works without a network.

import { ApiError, key, setKey } from "/web/api.js";
import { make } from "/web/dom.js";
import { history } from "/web/history.js";
import { miner, network } from "/web/network.js";
import { analyse, speak, task, transcribe } from "/web/pages.js";

const PAGES = { transcribe, speak, analyse, network, miner, task, history };

let leave = null;
/** Grows with every change of page, so that a slow one does not appear over a later one. */
let turn = 0;

async function show() {
  const [name, argument] = location.hash.replace(/^#\//, "").split("/");
  const page = PAGES[name] ?? transcribe;
  const main = document.getElementById("main");
  turn += 1;
  const mine = turn;
  leave?.();
  leave = null;
  main.replaceChildren();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${page.name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const left = await page(main, decodeURIComponent(argument ?? ""));
    if (mine === turn) leave = left ?? null;
    else left?.();
  } catch (error) {
    if (mine !== turn) return;
    main.append(make("p", { className: "note", role: "alert", textContent: error instanceof ApiError ? error.message : String(error) }));
    if (error.status === 401) field.closest("details").open = true;
  }
  document.title = `${main.querySelector("h1")?.textContent ?? "Violet"} · Violet`;
}

const field = document.getElementById("key");
field.value = key();
document.getElementById("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(field.value.trim());
  field.closest("details").open = false;
  show();
});
const status = document.getElementById("status");
const connection = () => { status.textContent = navigator.onLine ? "" : "offline"; };
addEventListener("online", connection);
addEventListener("offline", connection);
addEventListener("hashchange", () => {
  // The link that skips to the content names an element, not a page.
  if (location.hash && !location.hash.startsWith("#/")) return;
  show();
  document.getElementById("main").focus({ preventScroll: true });
});
navigator.serviceWorker?.register("/sw.js").catch(() => {});
connection();
show();
