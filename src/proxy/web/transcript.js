// A transcript with its audio: the word that is said is lit, words seek, text can be edited, searched, copied and saved.

import { clock, copyButton, make, save, speakerColour, stem } from "/web/dom.js";
import { edits, keep } from "/web/edits.js";
import { player } from "/web/player.js";
import { search } from "/web/search.js";
import { divided, legend } from "/web/speakers.js";
import { srt, txt, vtt } from "/web/subtitles.js";

/** The pieces of a segment that light up: its words, or all of it where there are no times of words or no longer. */
function pieces(segment) {
  return segment.words?.length ? segment.words : [{ word: segment.text.trim(), start: segment.start, end: segment.end }];
}

/** One line: its time, its text to edit, its words to click. */
function line(segment, seek, edited) {
  const words = pieces(segment).map((piece) => ({ span: make("span", { className: "word", textContent: piece.word.trim() }), start: piece.start, end: piece.end, gap: /^\s/.test(piece.word) ? " " : "" }));
  const text = make("p", { contentEditable: "plaintext-only", spellcheck: true, role: "textbox", "aria-multiline": "true",
    "aria-label": `text at ${clock(segment.start)}` }, ...words.flatMap(({ span, gap }, index) => [index ? gap : "", span]));
  text.addEventListener("input", () => {
    segment.text = text.textContent.trim();
    // The times of words are those of the words that were heard.
    delete segment.words;
    edited(segment);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      // By keys: to the word in which, or behind which, the caret is.
      const caret = getSelection().getRangeAt(0);
      const word = words.findLast(({ span }) => span.isConnected && caret.comparePoint(span, 0) <= 0);
      seek((word ?? segment).start);
      event.preventDefault();
    } else if (event.key === "Escape") text.blur();
  });
  // A click on a word also places the caret; one that selects does not seek.
  for (const { span, start } of words) span.addEventListener("click", () => { if (getSelection().isCollapsed) seek(start); });
  const at = make("button", { type: "button", className: "time", textContent: clock(segment.start), "aria-label": `play from ${clock(segment.start)}`, onclick: () => seek(segment.start) });
  const who = make("b", { className: "who" });
  const row = make("div", { className: "segment" }, who, at, text);
  if (segment.speaker !== undefined) row.classList.add("spoken", `speaker-${segment.speaker % 6}`);
  return { row, segment, text, words, who };
}

/** A view of a transcript; `turns` is a promise of who speaks when, where that was asked for. */
export function transcriptView(transcript, audio, name, { response = "", turns = null } = {}) {
  const changed = edits(response);
  const segments = () => lines.map(({ segment }) => segment);
  const body = make("div", { className: "lines" });
  const revert = make("button", { type: "button", textContent: "Undo all edits", hidden: Object.keys(changed).length === 0 });
  let view = null;
  let lines = [];
  let words = [];
  let names = {};
  let lit = null;

  const show = (parts) => {
    lines = parts.map((part) => {
      const text = changed[part.start];
      const segment = text === undefined ? { ...part } : { ...part, text, words: undefined };
      return line(segment, (seconds) => view?.seek(seconds), ({ start, text: now }) => { keep(response, start, now); changed[start] = now; revert.hidden = false; });
    });
    words = lines.flatMap((one) => one.words);
    lit = null;
    body.replaceChildren(...lines.map(({ row }) => row));
    call();
  };
  /** Writes the speakers' names where another begins. */
  const call = () => {
    let last;
    for (const { segment, who } of lines) {
      who.textContent = segment.speaker !== undefined && segment.speaker !== last ? names[segment.speaker] ?? "" : "";
      last = segment.speaker;
    }
  };
  const ontime = (seconds) => {
    const now = words.find((word) => word.start <= seconds && seconds < word.end) ?? null;
    if (now === lit) return;
    lit?.span.classList.remove("now");
    now?.span.classList.add("now");
    lit = now;
  };
  view = audio && player(audio, { ontime, duration_s: transcript.duration_s });
  show(transcript.segments);

  const named = () => segments().map((segment) => (segment.speaker === undefined ? segment : { ...segment, speaker: names[segment.speaker] }));
  const whole = () => (Object.keys(names).length ? txt(named()).trim() : segments().map((segment) => segment.text.trim()).join(" "));
  const files = [["txt", () => txt(named()), "text/plain"], ["srt", () => srt(named()), "application/x-subrip"], ["vtt", () => vtt(named()), "text/vtt"],
    ["json", () => JSON.stringify({ ...transcript, text: segments().map((segment) => segment.text.trim()).join(" "), segments: named() }, null, 1), "application/json"]];
  const downloads = files.map(([ending, write, type]) => make("button", { type: "button", textContent: ending, "aria-label": `Download ${ending}`,
    onclick: () => save(`${stem(name, "transcript")}.${ending}`, write(), type) }));
  revert.addEventListener("click", () => {
    keep(response, null, null);
    for (const start of Object.keys(changed)) delete changed[start];
    revert.hidden = true;
    show(parts);
  });
  let { segments: parts } = transcript;
  const bar = make("div", { className: "bar" }, search(() => lines.map(({ text }) => text)), copyButton(whole),
    make("span", { className: "group", role: "group", "aria-label": "Download" }, ...downloads), revert);
  const note = make("p", { className: "hint", role: "status" });
  const empty = parts.length ? null : make("p", { textContent: "No speech was heard." });
  const element = make("div", { className: "transcript" }, view?.element, note, bar, empty, body);
  if (turns) {
    note.textContent = "Speakers are being told apart…";
    turns.then((found) => {
      note.textContent = found.length ? "" : "No voices could be told apart.";
      if (!found.length) return;
      parts = divided(transcript.segments, found);
      show(parts);
      bar.before(legend(found, (now) => { names = { ...now }; call(); }));
      view?.colourSpans(found.map((turn) => ({ ...turn, colour: speakerColour(turn.speaker) })));
    }).catch((error) => { note.textContent = `Speakers could not be told apart: ${error.message}`; });
  }
  return { element, leave: () => view?.leave(), isEdited: () => Object.keys(changed).length > 0 };
}
