// The shell of the page without a network: the files of the page, never an answer of the API.
const CACHE = "violet-1";
const SHELL = ["/", "/web/app.css", "/web/app.js", "/web/api.js", "/web/dom.js", "/web/history.js", "/web/icon.svg", "/web/job.js", "/web/manifest.webmanifest",
  "/web/measurements.js", "/web/network.js", "/web/pages.js", "/web/player.js", "/web/recorder.js", "/web/snippets.js", "/web/subtitles.js", "/web/transcript.js", "/web/verdict.js"];

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
