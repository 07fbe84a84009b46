// A transcript with its audio: the word that is said is lit, words seek, text can be edited, searched, copied and saved.

import { colour, copyButton, make, save } from "/web/dom.js";
import { player } from "/web/player.js";
import { srt, txt, vtt } from "/web/subtitles.js";

/** The pieces of a segment that light up: its words, or all of it where there are no times of words. */
function pieces(segment) {
  return segment.words?.length ? segment.words : [{ word: segment.text, start: segment.start, end: segment.end }];
}

/** The speakers of an analysis as spans of colour. */
function coloured(turns) {
  return turns.map((turn) => ({ ...turn, colour: colour(`speaker-${turn.speaker % 6}`) }));
}

function speakerAt(turns, seconds) {
  return turns.find((turn) => turn.start <= seconds && seconds < turn.end)?.speaker;
}

/** A view of a transcript; `turns` is who speaks when, where that is known. */
export function transcriptView(transcript, audio, name, turns = []) {
  const stem = name.replace(/\.\w{1,5}$/, "") || "transcript";
  const segments = transcript.segments.map((segment) => ({ ...segment }));
  const words = [];
  const rows = segments.map((segment) => {
    const spans = pieces(segment).map((piece) => {
      const span = make("span", { className: "word", textContent: piece.word });
      words.push({ span, start: piece.start, end: piece.end });
      return span;
    });
    const speaker = speakerAt(turns, (segment.start + segment.end) / 2);
    const text = make("p", { contentEditable: "plaintext-only", spellcheck: true, role: "textbox", "aria-label": "text", "aria-multiline": "true" }, ...spans);
    text.addEventListener("input", () => { segment.text = text.textContent; });
    const at = make("button", { type: "button", className: "time", textContent: new Date(segment.start * 1000).toISOString().slice(segment.start >= 3600 ? 11 : 14, 19) });
    const row = make("div", { className: "segment" }, at, text);
    if (speaker !== undefined) row.classList.add("spoken", `speaker-${speaker % 6}`);
    return { row, at, segment, text };
  });
  let lit = null;
  const view = audio && player(audio, {
    spans: coloured(turns),
    ontime: (seconds) => {
      const now = words.find((word) => word.start <= seconds && seconds < word.end) ?? null;
      if (now === lit) return;
      lit?.span.classList.remove("now");
      now?.span.classList.add("now");
      lit = now;
    },
  });
  for (const { at, segment } of rows) at.addEventListener("click", () => view?.seek(segment.start));
  for (const { span, start } of words) {
    // A click on a word also places the caret; only a plain click seeks.
    span.addEventListener("click", () => { if (getSelection().isCollapsed) view?.seek(start); });
  }
  const search = make("input", { type: "search", placeholder: "Search", "aria-label": "search in the transcript" });
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    let first = null;
    for (const { row, text } of rows) {
      const has = wanted !== "" && text.textContent.toLowerCase().includes(wanted);
      row.classList.toggle("found", has);
      if (has) first ??= row;
    }
    first?.scrollIntoView({ block: "nearest" });
  });
  const whole = () => segments.map((segment) => segment.text.trim()).join(" ");
  const files = [["txt", txt, "text/plain"], ["srt", srt, "application/x-subrip"], ["vtt", vtt, "text/vtt"],
    ["json", () => JSON.stringify({ ...transcript, text: whole(), segments }, null, 1), "application/json"]];
  const bar = make("div", { className: "bar" }, search, copyButton(whole),
    ...files.map(([ending, write, type]) => make("button", { type: "button", textContent: ending, title: `Download ${ending}`,
      onclick: () => save(`${stem}.${ending}`, write(segments), type) })));
  const empty = segments.length ? null : make("p", { textContent: "No speech was heard." });
  return { element: make("div", { className: "transcript" }, view?.element, bar, empty, ...rows.map(({ row }) => row)), leave: () => view?.leave() };
}
