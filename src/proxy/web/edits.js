// What people changed in transcripts, kept in this browser until they take it back.

const NAME = "violet.edits";

/** Transcripts whose edits are kept. */
const LIMIT = 50;

function all() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {};
  }
}

/** The texts that were changed in an answer, by the start of their segment. */
export function edits(response) {
  return all()[response]?.texts ?? {};
}

/** Keeps a changed text; null takes all of an answer's back. */
export function keep(response, start, text) {
  const kept = all();
  if (text === null) delete kept[response];
  else kept[response] = { at: Date.now(), texts: { ...kept[response]?.texts, [start]: text } };
  const newest = Object.entries(kept).sort(([, a], [, b]) => b.at - a.at).slice(0, LIMIT);
  try {
    localStorage.setItem(NAME, JSON.stringify(Object.fromEntries(newest)));
  } catch { /* the browser's store is full: the edit stays on the screen */ }
}
