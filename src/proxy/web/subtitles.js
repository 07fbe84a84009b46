// Transcripts as text and subtitles, from segments that a person may have edited. `speaker` is a name, where it is known.

function stamp(seconds, separator) {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const pad = (value, width) => String(value).padStart(width, "0");
  const [h, m, s] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1000) % 60];
  return `${pad(h, 2)}:${pad(m, 2)}:${pad(s, 2)}${separator}${pad(ms % 1000, 3)}`;
}

/** A cue's text: an arrow would end the cue, as would an empty line. */
function cue(text) {
  return text.trim().replaceAll("-->", "->").replace(/\n\s*\n/g, "\n");
}

/** WebVTT has markup, so signs of it are written otherwise. */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Segments with something to show; an edit may have left nothing. */
function shown(segments) {
  return segments.filter((segment) => segment.text.trim());
}

function said({ speaker, text }) {
  return speaker ? `${speaker}: ${text.trim()}` : text.trim();
}

export function txt(segments) {
  return `${shown(segments).map(said).join("\n")}\n`;
}

export function srt(segments) {
  const cues = shown(segments).map((segment, index) =>
    `${index + 1}\n${stamp(segment.start, ",")} --> ${stamp(segment.end, ",")}\n${cue(said(segment))}\n`);
  return cues.join("\n");
}

export function vtt(segments) {
  const cues = shown(segments).map((segment) => {
    const voice = segment.speaker ? `<v ${escaped(segment.speaker)}>` : "";
    return `${stamp(segment.start, ".")} --> ${stamp(segment.end, ".")}\n${voice}${escaped(cue(segment.text))}\n`;
  });
  return `WEBVTT\n\n${cues.join("\n")}`;
}
