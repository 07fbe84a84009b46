// Looking for words in a text that is on the screen: every place is lit, Enter goes to the next.

import { make } from "/web/dom.js";

const NAME = "found";

/** The places in an element where `wanted` stands, as ranges. */
function places(element, wanted) {
  const nodes = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let text = "", node = walker.nextNode(); node; node = walker.nextNode()) {
    nodes.push({ node, from: text.length });
    text += node.data;
  }
  const point = (at) => {
    const { node, from } = nodes.findLast((candidate) => candidate.from <= at);
    return [node, Math.min(at - from, node.length)];
  };
  const text = element.textContent.toLowerCase();
  const found = [];
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
    const range = new Range();
    range.setStart(...point(at));
    range.setEnd(...point(at + wanted.length));
    found.push(range);
  }
  return found;
}

/** A field that looks in the elements that `texts` gives. */
export function search(texts) {
  const input = make("input", { type: "search", placeholder: "Search", "aria-label": "search in the transcript" });
  const count = make("span", { className: "hint", role: "status" });
  let found = [];
  let at = 0;
  const show = () => {
    count.textContent = input.value.trim() ? (found.length ? `${at + 1} of ${found.length}` : "not found") : "";
    // Browsers without highlights still scroll to what was found.
    if (globalThis.Highlight) CSS.highlights.set(NAME, new Highlight(...found));
    if (globalThis.Highlight) CSS.highlights.set(`${NAME}-now`, new Highlight(...found.slice(at, at + 1)));
    found[at]?.startContainer.parentElement?.scrollIntoView({ block: "nearest" });
  };
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    found = wanted ? texts().flatMap((text) => places(text, wanted)) : [];
    at = 0;
    show();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !found.length) return;
    at = (at + (event.shiftKey ? found.length - 1 : 1)) % found.length;
    show();
  });
  return make("span", { className: "search" }, input, count);
}
