// Pictures of an analysis: the spectrogram of the sound, and bars of what was measured band by band.

import { clock, colour, drawn, make } from "/web/dom.js";
import { spectrogram } from "/web/sound.js";

/** Widest spectrogram, columns. */
const COLUMNS = 900;

/** Frequencies that are marked, Hz. */
const MARKS_HZ = [500, 1000, 2000, 4000, 7000];

/** The colours of the levels, from silence to the loudest, as those of `violet analyze --png`. */
const LADDER = [[13, 8, 35], [61, 26, 120], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];

function shade(level) {
  const at = Math.min(0.999, Math.max(0, level)) * (LADDER.length - 1);
  const [low, high] = [LADDER[Math.floor(at)], LADDER[Math.floor(at) + 1]];
  return low.map((value, i) => value + (high[i] - value) * (at % 1));
}

function figure(title, canvas, about) {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", about);
  return make("figure", {}, make("figcaption", { textContent: title }), canvas);
}

/** Frequency over time, low ones with as much room as high ones have in speech (a square root scale). */
export function spectrum(sound) {
  const { levels, highest_hz: highest } = spectrogram(sound, COLUMNS);
  const height = 160;
  const image = new ImageData(levels.length, height);
  const bands = levels[0].length;
  levels.forEach((column, x) => {
    for (let y = 0; y < height; y += 1) {
      const band = Math.min(bands - 1, Math.floor(((1 - y / height) ** 2) * bands));
      image.data.set([...shade(column[band]), 255], (y * levels.length + x) * 4);
    }
  });
  const buffer = make("canvas", { width: levels.length, height });
  buffer.getContext("2d").putImageData(image, 0, 0);
  const canvas = make("canvas", { className: "spectrum" });
  drawn(canvas, (context, width, tall) => {
    context.drawImage(buffer, 0, 0, width, tall);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = "#ffffffd0";
    for (const hz of MARKS_HZ.filter((mark) => mark < highest)) {
      const y = tall * (1 - Math.sqrt(hz / highest));
      context.fillRect(0, y, 6, 1);
      context.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, 9, y + 4);
    }
    const [whole, n] = [sound.duration_s, Math.max(1, Math.min(6, Math.floor(width / 110)))];
    for (let i = 1; i < n; i += 1) context.fillText(clock((whole * i) / n), (width * i) / n, tall - 5);
  });
  return figure("Spectrogram", canvas, `spectrogram of ${clock(sound.duration_s)} up to ${highest / 1000} kHz`);
}

/** Bars of values with a name each; `names` may be few. */
export function bars(title, values, names = []) {
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const top = values.indexOf(Math.max(...values));
  const canvas = make("canvas", { className: "chart" });
  drawn(canvas, (context, width, height) => {
    const room = names.length ? height - 14 : height;
    const y = (value) => (room - 2) * (1 - (value - low) / Math.max(1e-9, high - low)) + 1;
    const step = width / values.length;
    context.fillStyle = colour("accent");
    values.forEach((value, i) => context.fillRect(i * step + 1, Math.min(y(value), y(0)), Math.max(1, step - 2), Math.max(1, Math.abs(y(value) - y(0)))));
    context.fillStyle = colour("soft");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    names.forEach((name, i) => context.fillText(name, (i + 0.5) * step, height - 2));
  });
  return figure(title, canvas, `${title}: ${values.length} bars, the highest is ${names[top] ?? `number ${top + 1}`}`);
}
