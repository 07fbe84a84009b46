// The microphone, as the browser records it: webm or ogg with Opus, or mp4.

import { clock, make } from "/web/dom.js";

const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

/** How often the recorder hands over what it has, ms: a crash of the page costs no memory of the browser's. */
const PIECE_MS = 1000;

function denied(error) {
  if (!window.isSecureContext) return "The microphone needs a page over https (or on localhost). Record with another program and drop the file here.";
  if (error.name === "NotFoundError") return "No microphone was found. Connect one and press Record again.";
  return `The microphone cannot be used: ${error.message}. Allow it for this page in the browser's settings.`;
}

/** A button that records; `done` gets the file. */
export function recorder(done, failed) {
  const button = make("button", { type: "button", className: "record", textContent: "Record" });
  let running = null;

  async function start() {
    const sound = await navigator.mediaDevices.getUserMedia({ audio: true });
    const type = TYPES.find((candidate) => MediaRecorder.isTypeSupported(candidate));
    const pieces = [];
    running = new MediaRecorder(sound, type ? { mimeType: type } : {});
    const began = Date.now();
    const show = () => { button.textContent = `Stop ${clock((Date.now() - began) / 1000)}`; };
    const timer = setInterval(show, 250);
    running.addEventListener("dataavailable", (event) => pieces.push(event.data));
    running.addEventListener("stop", () => {
      clearInterval(timer);
      sound.getTracks().forEach((track) => track.stop());
      const ending = (running.mimeType.match(/audio\/(\w+)/) ?? [])[1] ?? "webm";
      running = null;
      button.textContent = "Record";
      button.classList.remove("live");
      const name = `recording ${new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", "-")}.${ending}`;
      done(new File(pieces, name, { type: pieces[0]?.type }));
    });
    running.start(PIECE_MS);
    show();
    button.classList.add("live");
  }

  button.addEventListener("click", () => {
    if (running) running.stop();
    else start().catch((error) => failed(denied(error)));
  });
  return button;
}
