// The request on the screen for curl and Python.

import { key } from "/web/api.js";
import { copyButton, make } from "/web/dom.js";

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function curl(kind, name, options) {
  const head = key() ? " -H \"Authorization: Bearer $VIOLET_API_KEY\"" : "";
  const url = `${location.origin}/v1/tasks`;
  if (kind === "synthesis") {
    const { text, ...rest } = options;
    return `curl ${url}${head} \\\n  --json ${quote(JSON.stringify({ kind, input: { text }, ...rest }))}`;
  }
  const fields = Object.entries({ kind, ...options }).map(([field, value]) => ` -F ${quote(`${field}=${value}`)}`);
  return `curl ${url}${head} \\\n  -F ${quote(`file=@${name}`)}${fields.join("")}`;
}

function python(kind, name, options) {
  const given = kind === "synthesis" ? "" : `${JSON.stringify(name)}, `;
  const named = Object.entries(options).map(([field, value]) => `, ${field}=${typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value)}`);
  const get = kind === "synthesis" ? `open("speech.${options.format}", "wb").write(client.audio(task.id))` : `print(client.result(task.id${kind === "analysis" ? ', "json"' : ""}))`;
  return `import violet\n\nwith violet.Client("${location.origin}") as client:\n    task = client.submit(${given}kind="${kind}"${named.join("")})\n    client.wait(task.id, until="answered")\n    ${get}\n`;
}

function openai(kind, name, options) {
  const head = `${key() ? "import os\n\n" : ""}from openai import OpenAI\n\nclient = OpenAI(base_url="${location.origin}/v1", api_key=${key() ? 'os.environ["VIOLET_API_KEY"]' : '"none"'})\n`;
  if (kind === "transcription") {
    const language = options.language ? `, language=${JSON.stringify(options.language)}` : "";
    return `${head}with open(${JSON.stringify(name)}, "rb") as file:\n    print(client.audio.transcriptions.create(model="whisper-1", file=file${language}).text)\n`;
  }
  const voice = JSON.stringify(options.voice || "alloy");
  return `${head}speech = client.audio.speech.create(model="tts-1", voice=${voice}, speed=${options.speed}, response_format="${options.format}", input=${JSON.stringify(options.text)})\nspeech.write_to_file("speech.${options.format}")\n`;
}

/** The same request elsewhere, to copy. */
export function snippets(kind, name, options) {
  const kinds = [["curl", curl], ["Python", python], ...(kind === "analysis" ? [] : [["openai", openai]])];
  const box = make("details", { className: "details" }, make("summary", { textContent: "This request in code" }));
  for (const [label, write] of kinds) {
    const text = write(kind, name, options);
    box.append(make("h3", {}, `${label} `, copyButton(() => text)), make("pre", { textContent: text, tabIndex: 0 }));
  }
  return box;
}
