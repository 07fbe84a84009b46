// A line over time that grows while one looks.

import { colour, drawn, make } from "/web/dom.js";

/** Points of a chart: ten minutes, one every three seconds; at first a minute fills it. */
const POINTS = 200;
const FIRST_POINTS = 20;

/** Room above and below the line, for the dot at its end; pixels. */
const MARGIN_PX = 4;

/** Values over time that stay through a visit. */
export class Series {
  values = [];

  add(value) {
    this.values.push(value);
    if (this.values.length > POINTS) this.values.shift();
  }
}

/** A chart of a series with its last value in words; `top` is the least height of the scale. */
export function chart(name, series, format, top = 1) {
  const caption = make("figcaption");
  const canvas = make("canvas", { className: "chart", role: "img" });
  const paint = drawn(canvas, (context, width, height) => {
    const { values } = series;
    const highest = Math.max(top, ...values.filter((value) => value !== null));
    const points = Math.max(FIRST_POINTS, values.length);
    const base = height - MARGIN_PX;
    const place = (value, index) => [((points - values.length + index) / (points - 1)) * width, base - (value / highest) * (base - MARGIN_PX)];
    context.strokeStyle = colour("line");
    context.beginPath();
    context.moveTo(0, base + 0.5);
    context.lineTo(width, base + 0.5);
    context.stroke();
    context.strokeStyle = colour("accent");
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.beginPath();
    values.forEach((value, index) => { if (value !== null) context.lineTo(...place(value, index)); });
    context.stroke();
    context.fillStyle = colour("accent");
    const end = values.findLastIndex((value) => value !== null);
    if (end >= 0) {
      const [x, y] = place(values[end], end);
      context.beginPath();
      context.arc(Math.min(x, width - MARGIN_PX), y, 3, 0, 2 * Math.PI);
      context.fill();
    }
  });
  const update = () => {
    const last = series.values.findLast((value) => value !== null) ?? null;
    const text = last === null ? "none yet" : format(last);
    caption.replaceChildren(`${name} `, make("b", { textContent: text }));
    canvas.setAttribute("aria-label", `${name}: ${text}; most seen ${format(Math.max(0, ...series.values))}`);
    paint();
  };
  return { element: make("figure", {}, caption, canvas), update };
}
