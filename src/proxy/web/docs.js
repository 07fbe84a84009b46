// Shows /openapi.json, and sends a request on wish. Everything from the document is set as text, never as markup.
"use strict";

const METHODS = ["get", "post", "patch", "put", "delete"];

function make(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

/** Follows a `$ref` of the document. */
function resolve(schema, api) {
  const path = schema?.$ref?.slice(2).split("/");
  return path ? resolve(path.reduce((at, key) => at[key], api), api) : schema;
}

/** A schema in one line, as a person would write it. */
function describe(schema, api, depth = 0) {
  const one = resolve(schema, api);
  if (!one) return "";
  if (one.const !== undefined) return JSON.stringify(one.const);
  if (one.enum) return one.enum.join(" | ");
  if (one.anyOf) return one.anyOf.map((part) => describe(part, api, depth)).join(" | ");
  if (one.type === "array") return `[${describe(one.items, api, depth)}]`;
  if (one.properties) {
    if (depth > 3) return "{..}";
    const required = new Set(one.required ?? []);
    const members = Object.entries(one.properties).map(([name, part]) =>
      `${"  ".repeat(depth + 1)}${name}${required.has(name) ? "" : "?"}: ${describe(part, api, depth + 1)}`);
    return `{\n${members.join("\n")}\n${"  ".repeat(depth)}}`;
  }
  const range = one.minimum !== undefined || one.maximum !== undefined ? ` ${one.minimum ?? ""}..${one.maximum ?? ""}` : "";
  return [].concat(one.type ?? "any").join(" | ") + range;
}

/** An example of what a schema takes: what is required, and defaults. */
function example(schema, api) {
  const one = resolve(schema, api);
  if (one.default !== undefined) return one.default;
  if (one.enum) return one.enum[0];
  if (one.anyOf) return example(one.anyOf[0], api);
  if (one.type === "object") {
    const names = one.required ?? Object.keys(one.properties ?? {}).slice(0, one.maxProperties);
    return Object.fromEntries(names.map((name) => [name, example(one.properties[name], api)]));
  }
  return { string: "", integer: one.minimum ?? 0, number: one.minimum ?? 0, boolean: false, array: [] }[one.type] ?? null;
}

/** Fields to fill in, and what they say as a request. */
function form(path, operation, api) {
  const box = make("div");
  const inputs = (operation.parameters ?? []).map((parameter) => {
    const input = make("input", { ariaLabel: parameter.name, required: Boolean(parameter.required) });
    const about = [parameter.description, describe(parameter.schema, api)].filter(Boolean).join("; ");
    box.append(make("div", {}, make("label", {}, make("code", { textContent: parameter.name }), " ", input, ` ${about}`)));
    return [parameter, input];
  });
  const bodies = operation.requestBody?.content ?? {};
  const [type] = Object.keys(bodies);
  let text, file;
  if (type === "application/json") {
    text = make("textarea", { ariaLabel: "body", spellcheck: false, value: JSON.stringify(example(bodies[type].schema, api), null, 2) });
    box.append(text);
  } else if (type) {
    file = make("input", { type: "file", ariaLabel: "file" });
    box.append(make("div", {}, file));
  }
  const request = () => {
    const query = new URLSearchParams();
    const headers = {};
    let url = path;
    for (const [parameter, input] of inputs) {
      if (!input.value) continue;
      if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (parameter.in === "query") query.set(parameter.name, input.value);
      else headers[parameter.name] = input.value;
    }
    const key = document.getElementById("key").value;
    if (key) headers.Authorization = `Bearer ${key}`;
    let body;
    if (text) {
      headers["Content-Type"] = type;
      body = text.value;
    } else if (file && type === "multipart/form-data") {
      body = new FormData();
      if (file.files[0]) body.append("file", file.files[0]);
      for (const name of bodies[type].schema.required ?? []) if (name !== "file") body.append(name, name === "model" ? "whisper-1" : "");
    } else if (file) {
      body = file.files[0];
    }
    return [query.size ? `${url}?${query}` : url, { headers, body }];
  };
  return [box, request];
}

/** Sends a request and shows what came back, events as they come. */
async function send(method, [url, options], output) {
  output.textContent = "..";
  try {
    const response = await fetch(url, { method: method.toUpperCase(), ...options });
    output.textContent = `${response.status} ${response.statusText}\n\n`;
    const type = response.headers.get("content-type") ?? "";
    if (type.startsWith("audio/") || type.includes("octet-stream")) {
      output.textContent += `${(await response.blob()).size} bytes of ${type}`;
    } else if (type.startsWith("text/event-stream")) {
      for await (const piece of response.body.pipeThrough(new TextDecoderStream())) output.textContent += piece;
    } else {
      const text = await response.text();
      output.textContent += type.includes("json") ? JSON.stringify(JSON.parse(text), null, 2) : text;
    }
  } catch (error) {
    output.textContent = `no answer: ${error.message}`;
  }
}

function show(path, method, operation, api) {
  const box = make("details", {}, make("summary", {}, make("span", { className: "method", textContent: method.toUpperCase() }),
    make("code", { textContent: path }), make("span", { textContent: operation.summary })));
  // Filled when it is opened: the page is quick with any number of operations.
  box.addEventListener("toggle", () => {
    const inner = make("div");
    if (operation.description) inner.append(make("p", { textContent: operation.description }));
    for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
      inner.append(make("h3", { textContent: `Body: ${type}` }), make("pre", { textContent: describe(schema, api) }));
    }
    const table = make("table");
    for (const [status, given] of Object.entries(operation.responses)) {
      const response = resolve(given, api);
      const content = Object.entries(response.content ?? {});
      const cell = make("td", { textContent: response.description });
      if (status.startsWith("2")) for (const [type, { schema }] of content) cell.append(make("pre", { textContent: `${type}\n${describe(schema, api)}` }));
      table.append(make("tr", {}, make("td", { textContent: status }), cell));
    }
    const [fields, request] = form(path, operation, api);
    const output = make("pre", { ariaLive: "polite", hidden: true });
    const button = make("button", { textContent: "Send" });
    button.addEventListener("click", () => {
      output.hidden = false;
      send(method, request(), output);
    });
    inner.append(make("h3", { textContent: "Answers" }), table, make("h3", { textContent: "Try it" }), fields, button, output);
    box.append(inner);
  }, { once: true });
  return box;
}

async function start() {
  const main = document.getElementById("operations");
  const api = await (await fetch("/openapi.json")).json();
  document.getElementById("about").prepend(`${api.info.summary}. Version ${api.info.version}. `);
  for (const tag of api.tags) {
    main.append(make("h2", { textContent: tag.description ? `${tag.name}: ${tag.description}` : tag.name }));
    for (const [path, operations] of Object.entries(api.paths)) {
      for (const method of METHODS) {
        if (operations[method]?.tags.includes(tag.name)) main.append(show(path, method, operations[method], api));
      }
    }
  }
}

start().catch((error) => {
  document.getElementById("operations").textContent = `The document did not load: ${error.message}`;
});
