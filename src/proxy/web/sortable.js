// A table whose headings sort.

import { make } from "/web/dom.js";

/** Columns are [heading, value to sort by, text or element]; columns that no row fills are left out. */
export function sortable(caption, columns, nothing) {
  const body = make("tbody");
  const head = make("tr");
  let rows = [];
  let by = 0;
  let isDown = false;
  const fill = () => {
    const used = columns.filter(([, , text]) => rows.length === 0 || rows.some((row) => text(row) !== ""));
    // The headings stay as they are while the numbers change, so that the keyboard's place is not lost.
    if (head.childElementCount !== used.length) {
      head.replaceChildren(...used.map((column) => {
        const button = make("button", { type: "button", className: "sort", textContent: column[0], onclick: () => {
          const at = columns.indexOf(column);
          isDown = by === at ? !isDown : typeof column[1](rows[0] ?? {}) === "number";
          by = at;
          fill();
        } });
        return make("th", { scope: "col" }, button);
      }));
    }
    used.forEach((column, index) => head.children[index].setAttribute("aria-sort", columns[by] !== column ? "none" : isDown ? "descending" : "ascending"));
    const value = columns[by][1];
    const sorted = [...rows].sort((a, b) => (value(a) < value(b) ? -1 : Number(value(a) > value(b))) * (isDown ? -1 : 1));
    const cells = (row) => used.map(([, , text]) => make("td", {}, text(row)));
    const empty = make("tr", {}, make("td", { colSpan: used.length, textContent: nothing }));
    body.replaceChildren(...(sorted.length ? sorted.map((row) => make("tr", {}, ...cells(row))) : [empty]));
  };
  const element = make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    make("table", {}, make("caption", { textContent: caption }), make("thead", {}, head), body));
  return { element, update: (next) => { rows = next; fill(); } };
}
