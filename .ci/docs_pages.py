"""The pages of the documentation that are written when its site is built (mkdocs.yml names this file as a hook)."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
TITLES = {
    "users": "Users",
    "openai": "As OpenAI's API",
    "miners": "Miners",
    "validators": "Validators",
    "blobs": "Blobs",
    "network": "The network",
    "operations": "Operations",
    "web": "For browsers",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages; called by mkdocs."""
    api = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
    notebook = json.loads((ROOT / "docs/research.ipynb").read_text(encoding="utf-8"))
    pages = {
        "reference/http.md": "\n".join(http(api)),
        "reference/changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "research.md": "\n".join(cells(notebook)),
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links to the notebook lead to its page here, and on GitHub to the notebook; called by mkdocs."""
    return markdown.replace("](research.ipynb)", "](research.md)")


def cells(notebook: Mapping[str, Any]) -> Iterator[str]:
    """A notebook as Markdown: its code, and what it printed."""
    yield "*This page is the notebook `docs/research.ipynb`, with the numbers of its last run.*\n"
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield f"{source}\n"
            continue
        yield f"```python\n{source}\n```\n"
        for output in cell["outputs"]:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            if text:
                yield f"```text\n{''.join(text).rstrip()}\n```\n"


def http(api: Mapping[str, Any]) -> Iterator[str]:
    """The HTTP interface, by who uses it, then the schemas."""
    yield "# HTTP\n"
    yield (
        "Made from [openapi.json](../openapi.json), which a proxy serves at `/openapi.json` and, to read and try, at "
        "`/docs`. What the routes mean together is in the [wire protocol](../protocol.md).\n"
    )
    by_tag: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = defaultdict(list)
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append((method.upper(), path, operation))
    for tag, title in TITLES.items():
        yield f"## {title}\n"
        for method, path, operation in by_tag.pop(tag):
            yield from route(method, path, operation)
    if by_tag:
        message = f"openapi.json has tags without a title here: {sorted(by_tag)}"
        raise ValueError(message)
    yield "## Schemas\n"
    for name, schema in api["components"]["schemas"].items():
        yield f"### {name} {{ #schema-{name.lower()} }}\n"
        if "description" in schema:
            yield f"{schema['description']}\n"
        yield from properties(schema)


def route(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    """One route: parameters, bodies, answers."""
    yield f"### `{method} {path}` {{ #{operation['operationId'].lower()} }}\n"
    yield f"{operation['summary']}. {operation.get('description', '')}".strip() + "\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "| parameter | in | type | |\n| --- | --- | --- | --- |"
        for parameter in parameters:
            yield f"| `{parameter['name']}` | {parameter['in']} | {kind(parameter['schema'])} | {cell(parameter)} |"
        yield ""
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body `{media}`: {kind(body.get('schema', {}))}\n"
    yield "| status | answer | |\n| --- | --- | --- |"
    for status, response in operation["responses"].items():
        if "$ref" in response:
            yield f"| {status} | {kind({'$ref': '#/components/schemas/Error'})} | |"
            continue
        content = response.get("content", {})
        answer = ", ".join(f"`{media}` {kind(body.get('schema', {}))}".strip() for media, body in content.items())
        yield f"| {status} | {answer} | {cell(response)} |"
    yield ""


def properties(schema: Mapping[str, Any]) -> Iterator[str]:
    """The members of an object, as a table; another schema in words."""
    if "properties" not in schema:
        yield f"{kind(schema)}\n"
        return
    required = set(schema.get("required", []))
    yield "| member | type | |\n| --- | --- | --- |"
    for name, member in schema["properties"].items():
        yield f"| `{name}`{'' if name in required else ' (optional)'} | {kind(member)} | {cell(member)} |"
    yield ""


def kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, with links to the named ones."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#schema-{name.lower()})"
    for word in ("oneOf", "anyOf", "allOf"):
        if word in schema:
            return " or ".join(kind(part) for part in schema[word])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    names = schema.get("type", "any")
    text = " or ".join(names) if isinstance(names, list) else str(names)
    if "items" in schema:
        text += f" of {kind(schema['items'])}"
    limits = [
        f"{label} {schema[key]}"
        for key, label in (
            ("minimum", "from"), ("maximum", "to"), ("minLength", "from"), ("maxLength", "to"), ("default", "default"),
        )
        if key in schema
    ]  # fmt: skip
    return ", ".join([text, *limits])


def cell(described: Mapping[str, Any]) -> str:
    """A description that fits a cell of a table."""
    return " ".join(described.get("description", "").split()).replace("|", "\\|")
