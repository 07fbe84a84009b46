// The microphone, as the browser records it: webm or ogg with Opus, or mp4.

import { clock, make } from "/web/dom.js";

const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

/** A button that records; `done` gets the file. */
export function recorder(done, failed) {
  const button = make("button", { type: "button", textContent: "Record" });
  let running = null;
  button.addEventListener("click", async () => {
    if (running) {
      running.stop();
      return;
    }
    try {
      const sound = await navigator.mediaDevices.getUserMedia({ audio: true });
      const type = TYPES.find((candidate) => MediaRecorder.isTypeSupported(candidate));
      const pieces = [];
      running = new MediaRecorder(sound, type ? { mimeType: type } : {});
      const began = Date.now();
      const timer = setInterval(() => { button.textContent = `Stop ${clock((Date.now() - began) / 1000)}`; }, 250);
      running.addEventListener("dataavailable", (event) => pieces.push(event.data));
      running.addEventListener("stop", () => {
        clearInterval(timer);
        sound.getTracks().forEach((track) => track.stop());
        const ending = (running.mimeType.match(/audio\/(\w+)/) ?? [])[1] ?? "webm";
        running = null;
        button.textContent = "Record";
        button.classList.remove("live");
        done(new File(pieces, `recording ${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.${ending}`, { type: pieces[0]?.type }));
      });
      running.start(1000);
      button.textContent = "Stop 0:00";
      button.classList.add("live");
    } catch (error) {
      failed(`The microphone cannot be used: ${error.message}. Allow it for this page in the browser's settings.`);
    }
  });
  return button;
}
