// Who says what: the turns of an analysis laid over the segments of a transcript.

import { make } from "/web/dom.js";

/** The turns of an analysis: [{speaker, start, end}]. */
export function turnsOf(analysis) {
  return (analysis.speakers?.turns ?? []).map((turn) => ({ speaker: turn.speaker, start: turn.start_s, end: turn.end_s }));
}

/** Who speaks at a time; between two turns whoever is nearest. */
function speakerAt(turns, seconds) {
  const away = (turn) => Math.max(turn.start - seconds, seconds - turn.end, 0);
  return turns.reduce((best, turn) => (best === null || away(turn) < away(best) ? turn : best), null)?.speaker;
}

/** The segments with their speakers, divided where another begins to speak, if the times of words are known. */
export function divided(segments, turns) {
  return segments.flatMap((segment) => {
    if (!segment.words?.length) return [{ ...segment, speaker: speakerAt(turns, (segment.start + segment.end) / 2) }];
    const parts = [];
    for (const word of segment.words) {
      const speaker = speakerAt(turns, (word.start + word.end) / 2);
      if (parts.at(-1)?.speaker === speaker) parts.at(-1).words.push(word);
      else parts.push({ ...segment, speaker, words: [word] });
    }
    if (parts.length === 1) return [{ ...segment, speaker: parts[0].speaker }];
    return parts.map((part) => ({ ...part, start: part.words[0].start, end: part.words.at(-1).end, text: part.words.map(({ word }) => word).join("").trim() }));
  });
}

/** The speakers by their colours, with names that may be changed; `changed` gets all names. */
export function legend(turns, changed) {
  const names = {};
  const speakers = [...new Set(turns.map(({ speaker }) => speaker))].sort((a, b) => a - b);
  const fields = speakers.map((speaker) => {
    names[speaker] = `Speaker ${speaker + 1}`;
    const input = make("input", { value: names[speaker], "aria-label": `name of speaker ${speaker + 1}`, maxLength: 40, className: `spoken speaker-${speaker % 6}` });
    input.addEventListener("input", () => {
      names[speaker] = input.value.trim() || `Speaker ${speaker + 1}`;
      changed(names);
    });
    return input;
  });
  changed(names);
  return make("div", { className: "legend" }, ...fields);
}
