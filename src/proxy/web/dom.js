// Small tools for elements. Text is always set as text, never as markup.

/** An element with properties and children; null children are left out. */
export function make(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "dataset") Object.assign(node.dataset, value);
    else if (key.startsWith("aria-") || key === "role" || key === "for") node.setAttribute(key, value);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node[key] = value;
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** A label with its control inside. */
export function field(text, control) {
  const className = control.type === "checkbox" ? "field tick" : "field";
  return make("label", { className }, make("span", { textContent: text }), control);
}

export function select(options) {
  return make("select", {}, ...Object.entries(options).map(([value, text]) => make("option", { value, textContent: text })));
}

export function table(name, heads, rows) {
  return make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": name }, make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", textContent: text })))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell)))))));
}

/** Offers a file to keep. */
export function save(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** The name of a file without its ending, for files that are made of it. */
export function stem(name, otherwise) {
  return name.replace(/\.\w{1,5}$/, "") || otherwise;
}

/** Seconds as m:ss or h:mm:ss. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${parts.join(":")}` : `${Number(parts[0])}:${parts[1]}`;
}

/** A hotkey as people tell it from others. */
export function short(hotkey) {
  return hotkey ? `${hotkey.slice(0, 6)}…${hotkey.slice(-4)}` : "";
}

/** 122 random bits; `crypto.randomUUID` is not there on a page without TLS, as of a proxy in one's own network. */
export function unique() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // A page without TLS has no clipboard but this.
  const area = make("textarea", { value: text, className: "away" });
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  if (!isDone) throw new Error("this browser does not let the page copy");
}

/** Copies text, and says so on the button. */
export function copyButton(text, label = "Copy") {
  const button = make("button", { type: "button", textContent: label });
  button.addEventListener("click", async () => {
    button.textContent = await copy(text()).then(() => "Copied", () => "Not allowed to copy");
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}

/** Draws on a canvas at the screen's own resolution, again when its size or the colours change. */
export function drawn(canvas, draw) {
  const paint = () => {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    draw(context, width, height);
  };
  new ResizeObserver(paint).observe(canvas);
  const repaint = () => {
    if (canvas.isConnected) paint();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  return paint;
}

/** A colour of the style sheet. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A speaker has one of six colours. */
export function speakerColour(speaker) {
  return colour(`speaker-${speaker % 6}`);
}
