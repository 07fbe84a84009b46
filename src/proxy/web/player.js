// Audio with its waveform: play, seek by click or keys, and tell where it is.

import { clock, colour, drawn, make, select } from "/web/dom.js";
import { COLUMNS, outline, samples } from "/web/sound.js";

/** A bar of the waveform with its gap, pixels. */
const BAR_PX = 4;

/** What plays now: only one at a time. */
let playing = null;

/**
 * A player of a file that is here (a blob), or of a stream: `{ attach(audio), blob: a promise }`.
 * `spans` colours parts of it: [{start, end, colour}].
 */
export function player(source, { ontime = () => {}, spans = [], duration_s = 0 } = {}) {
  const isFile = source instanceof Blob;
  const audio = make("audio", { preload: "metadata", ...(isFile && { src: URL.createObjectURL(source) }) });
  if (!isFile) source.attach(audio);
  const canvas = make("canvas", { className: "wave", tabIndex: 0, role: "slider", "aria-label": "position", "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0 });
  const button = make("button", { type: "button", className: "play", "aria-label": "Play" });
  const at = make("span", { className: "clock" });
  const rate = select({ 0.5: "0.5×", 0.75: "0.75×", 1: "1×", 1.25: "1.25×", 1.5: "1.5×", 2: "2×" });
  rate.value = "1";
  rate.setAttribute("aria-label", "speed of playing");
  const note = make("p", { className: "hint" });
  let heights = null;
  let decoded_s = 0;
  // A recording of a browser does not say how long it is.
  const length = () => (Number.isFinite(audio.duration) ? audio.duration : decoded_s || duration_s) || 0;

  const paint = drawn(canvas, (context, width, height) => {
    const played = length() ? audio.currentTime / length() : 0;
    const [done, rest] = [colour("accent"), colour("line")];
    for (const span of spans) {
      context.globalAlpha = 0.12;
      context.fillStyle = span.colour;
      context.fillRect((span.start / length()) * width, 0, ((span.end - span.start) / length()) * width, height);
    }
    const n = Math.min(COLUMNS, Math.max(1, Math.floor(width / BAR_PX)));
    for (let bar = 0; heights && bar < n; bar += 1) {
      const size = Math.max(2, Math.max(...heights.slice(Math.floor((COLUMNS * bar) / n), Math.floor((COLUMNS * (bar + 1)) / n))) * height * 0.94);
      const seconds = ((bar + 0.5) / n) * length();
      const who = spans.find(({ start, end }) => start <= seconds && seconds < end)?.colour;
      const isPlayed = (bar + 0.5) / n < played;
      context.fillStyle = who ?? (isPlayed ? done : rest);
      context.globalAlpha = who && !isPlayed ? 0.5 : 1;
      context.beginPath();
      context.roundRect((bar / n) * width, (height - size) / 2, BAR_PX - 1.5, size, 1.5);
      context.fill();
    }
    context.globalAlpha = 1;
    context.fillStyle = done;
    context.fillRect(Math.min(width - 1.5, played * width), 0, 1.5, height);
  });
  const told = () => {
    const text = `${clock(audio.currentTime)} / ${clock(length())}`;
    at.textContent = text;
    canvas.setAttribute("aria-valuemax", length().toFixed(1));
    canvas.setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
    canvas.setAttribute("aria-valuetext", text.replace("/", "of"));
    paint();
    ontime(audio.currentTime);
  };
  const seek = (seconds) => { audio.currentTime = Math.min(Math.max(0, seconds), length()); };
  const toggle = () => (audio.paused ? audio.play().catch(() => {}) : audio.pause());
  // While it plays every frame counts: words are shorter than the events of a media element are apart.
  const frame = () => {
    told();
    if (!audio.paused) requestAnimationFrame(frame);
  };
  audio.addEventListener("play", () => {
    if (playing !== audio) playing?.pause();
    playing = audio;
    button.setAttribute("aria-label", "Pause");
    frame();
  });
  audio.addEventListener("pause", () => { button.setAttribute("aria-label", "Play"); told(); });
  audio.addEventListener("ratechange", () => { rate.value = String(audio.playbackRate); });
  for (const event of ["seeked", "loadedmetadata", "durationchange"]) audio.addEventListener(event, told);
  audio.addEventListener("error", () => {
    if (!audio.getAttribute("src")) return;
    controls.remove();
    canvas.remove();
    note.textContent = "This browser cannot play this kind of file. The result is complete all the same.";
  });
  button.addEventListener("click", toggle);
  rate.addEventListener("change", () => { audio.playbackRate = Number(rate.value); });
  canvas.addEventListener("click", (event) => seek((event.offsetX / canvas.clientWidth) * length()));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2, ArrowDown: -2, ArrowUp: 2, PageDown: -15, PageUp: 15, Home: -Infinity, End: Infinity }[event.key];
    if (step) seek(audio.currentTime + step);
    else if (event.key === " ") toggle();
    else return;
    event.preventDefault();
  });
  const sound = Promise.resolve(isFile ? source : source.blob).then(samples);
  sound.then((found) => {
    decoded_s = found.duration_s;
    heights = outline(found.values);
    told();
  }, () => canvas.classList.add("bare"));
  told();
  const controls = make("div", { className: "controls" }, button, at, rate);
  const colourSpans = (next) => { spans = next; paint(); };
  const leave = () => { audio.pause(); if (isFile) URL.revokeObjectURL(audio.src); };
  return { element: make("div", { className: "player" }, audio, canvas, controls, note), audio, seek, colourSpans, sound, leave };
}
