// The shell of the page without a network: the files of the page, never an answer of the API.
const CACHE = "violet-3";
const FILES = ["api.js", "app.css", "app.js", "chart.js", "dom.js", "edits.js", "history.js", "icon-192.png", "icon.svg", "job.js", "manifest.webmanifest", "measurements.js",
  "network.js", "neurons.js", "pages.js", "pictures.js", "player.js", "queue.js", "recorder.js", "search.js", "snippets.js", "sortable.js", "sound.js", "speakers.js", "stream.js",
  "subtitles.js", "transcript.js", "verdict.js"];
const SHELL = ["/", ...FILES.map((name) => `/web/${name}`)];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)))).then(() => self.clients.claim()));
});

// The network first: a new version of the proxy has a new page.
self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  if (event.request.method !== "GET" || !SHELL.includes(pathname)) return;
  event.respondWith(fetch(event.request).then((response) => {
    const copy = response.clone();
    if (response.ok) event.waitUntil(caches.open(CACHE).then((cache) => cache.put(event.request, copy)));
    return response;
  }, () => caches.match(event.request)));
});
