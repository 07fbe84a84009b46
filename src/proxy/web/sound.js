// Recorded sound as the browser decodes it: outline and spectrum.

/** Rate at which it is decoded, Hz: that of the miners' models; more would hold more. */
const RATE = 16_000;

/** Largest file that is decoded, bytes: the browser holds all samples at once. */
const LARGEST_BYTES = 256 << 20;

/** Columns of the outline that is kept. */
export const COLUMNS = 1200;

/** The samples of a blob, mono. */
export async function samples(blob) {
  if (blob.size > LARGEST_BYTES) throw new Error("too large to draw");
  const context = new OfflineAudioContext(1, 1, RATE);
  const audio = await context.decodeAudioData(await blob.arrayBuffer());
  return { values: audio.getChannelData(0), duration_s: audio.duration, rate: RATE };
}

/** The loudest sample of each column, the loudest of all as 1. */
export function outline(values) {
  const found = new Float32Array(COLUMNS);
  for (let at = 0; at < COLUMNS; at += 1) {
    const end = Math.floor((values.length * (at + 1)) / COLUMNS);
    for (let i = Math.floor((values.length * at) / COLUMNS); i < end; i += 1) found[at] = Math.max(found[at], Math.abs(values[i]));
  }
  const top = Math.max(1e-4, ...found);
  return found.map((value) => value / top);
}

/** In-place Fourier transform of a power of two of values. */
function transform(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i += 1) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let k = 0; k < size / 2; k += 1) {
      const [c, s] = [Math.cos((-2 * Math.PI * k) / size), Math.sin((-2 * Math.PI * k) / size)];
      for (let a = k; a < n; a += size) {
        const b = a + size / 2;
        const [x, y] = [re[b] * c - im[b] * s, re[b] * s + im[b] * c];
        [re[b], im[b], re[a], im[a]] = [re[a] - x, im[a] - y, re[a] + x, im[a] + y];
      }
    }
  }
}

/** Window of the spectrogram, samples: 32 ms. */
const WINDOW = 512;

/** Levels below the loudest that are shown, dB. */
const RANGE_DB = 80;

/** A spectrogram: `levels[column][band]` in [0, 1], the lowest band first, at most `columns` wide. */
export function spectrogram({ values, rate }, columns) {
  const n = Math.min(columns, Math.max(1, Math.floor((values.length - WINDOW) / (WINDOW / 4)) + 1));
  const window = Float32Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
  const levels = [];
  let top = -Infinity;
  for (let at = 0; at < n; at += 1) {
    const from = n > 1 ? Math.floor((at * Math.max(0, values.length - WINDOW)) / (n - 1)) : 0;
    const re = Float32Array.from(window, (weight, i) => weight * (values[from + i] ?? 0));
    const im = new Float32Array(WINDOW);
    transform(re, im);
    const column = Float32Array.from({ length: WINDOW / 2 }, (_, k) => 10 * Math.log10(re[k] ** 2 + im[k] ** 2 + 1e-12));
    for (const level of column) top = Math.max(top, level);
    levels.push(column);
  }
  for (const column of levels) for (let k = 0; k < column.length; k += 1) column[k] = Math.max(0, 1 + (column[k] - top) / RANGE_DB);
  return { levels, highest_hz: rate / 2 };
}
