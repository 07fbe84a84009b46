"""The documentation says what is so: its examples, commands, messages, links. Samples run in test_docs_samples.py."""

import argparse
import ast
import doctest
import importlib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import violet
from test_deploy import proxy_help
from violet.cli import COMMANDS
from violet.config import ENVIRONMENT, MinerConfig, ValidatorConfig

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for folder, pattern in (("python", "*.py"), ("src", "*.rs"), (".ci", "*"))
    for path in sorted((ROOT / folder).rglob(pattern))
    if path.is_file() and path.suffix != ".pyc"
)
TOOLS = [ROOT / "Makefile", *(ROOT / "tests").rglob("*.rs"), *(ROOT / "tests/python").rglob("*.py")]


@pytest.mark.parametrize("page", ["docs/scoring.md", "docs/rewards.md"])
def test_examples_give_what_the_page_says(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = doctest.testfile(str(ROOT / page), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


def samples() -> Iterator[tuple[str, str]]:
    """Every block of Python that is no session with a prompt, with the page's name."""
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            if not block.startswith(">>>"):
                yield page.name, block


@pytest.mark.parametrize(("page", "block"), list(samples()))
def test_a_sample_is_python_and_names_what_exists(page: str, block: str) -> None:
    used = [ast.unparse(node) for node in ast.walk(ast.parse(block, page)) if isinstance(node, ast.Attribute)]
    for name in (name for name in used if re.fullmatch(r"violet(\.\w+)+", name)):
        found: object = violet
        for part in name.split(".")[1:]:
            # Beyond a function or class it is a result's, which only a run could know.
            if isinstance(found, type(violet)):
                found = getattr(found, part)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command of Violet's in a shell block of a page, with the page's name."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.replace("YOUR_PUBLIC_IP", "203.0.113.7"), comments=True)
                words = words[1:] if words[:1] == ["python"] else words
                if words and words[0] in {"violet", "neurons/miner.py", "neurons/validator.py"}:
                    own = words[: next((at for at, word in enumerate(words) if word in {">", "|", "&"}), len(words))]
                    role = [Path(own[0]).stem] if own[0] != "violet" else []
                    yield page.name, [*role, *own[1:]]


class _Understood(Exception):
    """A parser took all its words."""


@pytest.mark.parametrize(("page", "command"), [pytest.param(*found, id=" ".join(found[1])) for found in commands()])
def test_a_command_is_understood(page: str, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, *words = command
    assert name in COMMANDS, f"{page} names a command that does not exist"
    if name in {"miner", "validator"}:
        read = MinerConfig.from_args if name == "miner" else ValidatorConfig.from_args
        words = [
            str(ROOT) if before == "--challenge.dir" else word
            for before, word in zip(["", *words], words, strict=False)
        ]
        assert read(words, {"HOME": "/nowhere"}).netuid > 0
    elif name == "proxy":
        flags = [word.split("=")[0] for word in words if word.startswith("--")]
        assert [flag for flag in flags if flag not in proxy_help() and flag not in NETWORK_FLAGS] == []
    else:
        # The command's own parser reads the words; what it would do then is another test's.
        def parse(
            parser: argparse.ArgumentParser, args: Sequence[str] | None = None, namespace: object = None
        ) -> argparse.Namespace:
            parser.parse_known_args(args)
            raise _Understood

        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
        with pytest.raises(_Understood):
            importlib.import_module(COMMANDS[name][0]).main(words)


NETWORK_FLAGS = {"--subtensor.network", "--netuid", "--subtensor.chain_endpoint"}


def messages() -> Iterator[str]:
    """The messages that the troubleshooting page and the operators' guide explain."""
    for row in re.findall(
        r"^\| (.+?) \|", (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE
    ):
        yield from re.findall(r"`([^`]+)`", row)


OF_OTHERS = {"signal: 9", "GLIBC_.. not found", "error: externally-managed-environment", "queued"}
"""What compilers, loaders and pip print; and a state."""


@pytest.mark.parametrize("message", sorted(set(messages()) - OF_OTHERS))
def test_a_message_that_is_explained_is_printed_somewhere(message: str) -> None:
    # What differs from case to case is `..` on the page and a placeholder in the source.
    parts = [part.strip(" :;") for part in message.split("..")]
    assert all(part in SOURCES for part in parts), message


def test_every_variable_and_every_command_is_explained() -> None:
    told = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    environment = r"""env(?:iron)?(?:\.get\(|\[)["']([A-Z_]+)["']"""
    read = {variable for variable, _ in ENVIRONMENT.values()}
    for path in (ROOT / "python/violet").rglob("*.py"):
        read |= set(re.findall(environment, path.read_text(encoding="utf-8")))
    assert len(read) > 15
    assert sorted(variable for variable in read if variable not in told) == []
    # And what the pages name exists: in Python, in the proxy's program, or in what builds and tests them.
    known = SOURCES + proxy_help() + "".join(path.read_text(encoding="utf-8") for path in TOOLS)
    named = set(re.findall(r"\b(?:VIOLET|BT|WANDB|HF)_[A-Z_]*[A-Z]\b(?!_)", told))
    assert sorted(variable for variable in named if variable not in known) == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", readme)] == []


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub, and the site, name them in links."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_link_between_files_leads_somewhere() -> None:
    lost = []
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")):
            file = page.parent / target if target else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                lost.append(f"{page.name}: {target}#{anchor}")
    assert lost == []


def test_the_locked_requirements_agree() -> None:
    locks = [
        dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock", "requirements-docs.lock")
    ]
    # They are installed into one environment, one after the other.
    versions = {name: {lock[name] for lock in locks if name in lock} for lock in locks for name in lock}
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
