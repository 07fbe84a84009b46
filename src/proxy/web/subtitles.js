// Transcripts as text and subtitles, from segments that a person may have edited.

function stamp(seconds, separator) {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const pad = (value, width) => String(value).padStart(width, "0");
  const [h, m, s] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1000) % 60];
  return `${pad(h, 2)}:${pad(m, 2)}:${pad(s, 2)}${separator}${pad(ms % 1000, 3)}`;
}

/** A cue's text: an arrow in it would end the cue. */
function cue(text) {
  return text.trim().replaceAll("-->", "->");
}

export function txt(segments) {
  return `${segments.map((segment) => segment.text.trim()).join("\n")}\n`;
}

export function srt(segments) {
  const cues = segments.map((segment, index) => `${index + 1}\n${stamp(segment.start, ",")} --> ${stamp(segment.end, ",")}\n${cue(segment.text)}\n`);
  return cues.join("\n");
}

export function vtt(segments) {
  const cues = segments.map((segment) => `${stamp(segment.start, ".")} --> ${stamp(segment.end, ".")}\n${cue(segment.text)}\n`);
  return `WEBVTT\n\n${cues.join("\n")}`;
}
