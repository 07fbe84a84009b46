// Uploads take turns: many files at once would each be slow, and the first as late as the last.

/** Uploads that go on at the same time. */
const PLACES = 3;

const waiting = [];
let busy = 0;

function next() {
  if (busy >= PLACES || !waiting.length) return;
  busy += 1;
  waiting.shift()();
}

/** Runs `work` when a place is free. */
export async function inTurn(work) {
  await new Promise((begin) => { waiting.push(begin); next(); });
  try {
    return await work();
  } finally {
    busy -= 1;
    next();
  }
}
