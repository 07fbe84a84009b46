// Audio with its waveform: play, seek by click or keys, and tell where it is.

import { clock, colour, drawn, make } from "/web/dom.js";

/** Columns of the waveform that is kept. */
const COLUMNS = 1200;

/** Longest audio whose waveform is drawn, seconds: the browser decodes all of it at once. */
const LONGEST_S = 7200;

/** Rate at which it is decoded, Hz: enough to see, little to hold. */
const RATE = 8000;

async function peaks(blob) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const audio = await context.decodeAudioData(await blob.arrayBuffer());
  const samples = audio.getChannelData(0);
  const found = new Float32Array(COLUMNS);
  for (let at = 0; at < COLUMNS; at += 1) {
    const end = Math.floor((samples.length * (at + 1)) / COLUMNS);
    for (let i = Math.floor((samples.length * at) / COLUMNS); i < end; i += 1) found[at] = Math.max(found[at], Math.abs(samples[i]));
  }
  return found;
}

/** A player of a blob; `spans` colours parts of it: [{start, end, colour}]. */
export function player(blob, { ontime = () => {}, spans = [] } = {}) {
  const audio = make("audio", { controls: true, preload: "metadata", src: URL.createObjectURL(blob) });
  const canvas = make("canvas", { className: "wave", tabIndex: 0, role: "slider", "aria-label": "position", "aria-valuemin": 0 });
  let heights = null;
  const paint = drawn(canvas, (context, width, height) => {
    const length = audio.duration || 1;
    const played = audio.currentTime / length;
    for (const span of spans) {
      context.globalAlpha = 0.18;
      context.fillStyle = span.colour;
      context.fillRect((span.start / length) * width, 0, ((span.end - span.start) / length) * width, height);
    }
    context.globalAlpha = 1;
    const n = Math.min(COLUMNS, Math.floor(width / 2));
    for (let at = 0; heights && at < n; at += 1) {
      const from = Math.floor((COLUMNS * at) / n);
      const size = Math.max(1, Math.max(...heights.slice(from, Math.floor((COLUMNS * (at + 1)) / n))) * height);
      context.fillStyle = at / n < played ? colour("accent") : colour("line");
      context.fillRect((at / n) * width, (height - size) / 2, Math.max(1, width / n - 1), size);
    }
    context.fillStyle = colour("accent");
    context.fillRect(played * width, 0, 1.5, height);
  });
  const seek = (seconds) => { audio.currentTime = Math.min(Math.max(0, seconds), audio.duration || 0); };
  const told = () => {
    canvas.setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
    canvas.setAttribute("aria-valuetext", clock(audio.currentTime));
    paint();
    ontime(audio.currentTime);
  };
  // While it plays every frame counts: words are shorter than the events of a media element are apart.
  const frame = () => {
    told();
    if (!audio.paused) requestAnimationFrame(frame);
  };
  audio.addEventListener("play", frame);
  audio.addEventListener("seeked", told);
  audio.addEventListener("loadedmetadata", () => {
    canvas.setAttribute("aria-valuemax", audio.duration.toFixed(1));
    paint();
    if (audio.duration <= LONGEST_S) peaks(blob).then((found) => { heights = found; paint(); }, () => canvas.remove());
  });
  canvas.addEventListener("click", (event) => seek((event.offsetX / canvas.clientWidth) * audio.duration));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2, PageDown: -15, PageUp: 15 }[event.key];
    if (step) seek(audio.currentTime + step);
    else if (event.key === " ") (audio.paused ? audio.play() : audio.pause());
    else return;
    event.preventDefault();
  });
  const leave = () => { audio.pause(); URL.revokeObjectURL(audio.src); };
  return { element: make("div", { className: "player" }, canvas, audio), audio, seek, leave };
}
