// Audio of the proxy that plays while it comes.

import { call, key } from "/web/api.js";

/** Appends pieces to a source buffer, one after the other. */
function append(buffer, piece) {
  return new Promise((resolve, reject) => {
    buffer.addEventListener("updateend", resolve, { once: true });
    buffer.addEventListener("error", () => reject(new Error("the audio cannot be played as it comes")), { once: true });
    buffer.appendBuffer(piece);
  });
}

/** A source for `player`: begins to play with the first bytes where the browser can, and ends as a blob. */
export function stream(path) {
  let attached;
  const element = new Promise((resolve) => { attached = resolve; });

  async function load() {
    const audio = await element;
    const response = await call("GET", path);
    const type = response.headers.get("content-type");
    // Formats that cannot be given in pieces: the browser fetches by itself, but it cannot send a key.
    const isLive = Boolean(globalThis.MediaSource?.isTypeSupported(type));
    if (!isLive && !key()) audio.src = path;
    const source = isLive ? new MediaSource() : null;
    let buffer = null;
    if (source) {
      const opened = new Promise((resolve) => { source.addEventListener("sourceopen", resolve, { once: true }); });
      audio.src = URL.createObjectURL(source);
      await opened;
      buffer = source.addSourceBuffer(type);
    }
    const pieces = [];
    const reader = response.body.getReader();
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      pieces.push(value);
      // A browser holds so much and no more: what is behind that plays from the whole file.
      if (buffer) await append(buffer, value).catch(() => { buffer = null; });
    }
    const whole = new Blob(pieces, { type });
    if (buffer) source.endOfStream();
    else if (isLive || !audio.src) {
      const [at, isPlaying] = [audio.currentTime, !audio.paused];
      audio.src = URL.createObjectURL(whole);
      audio.currentTime = at;
      if (isPlaying || audio.autoplay) audio.play().catch(() => {});
    }
    return whole;
  }
  return { attach: attached, blob: load() };
}
