"""`violet completion`: what makes a shell complete the commands, flags and choices of `violet`."""

import argparse
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from violet.cli.parsing import Parser


@dataclass(slots=True)
class Words:
    """What may follow a command."""

    actions: list[str] = field(default_factory=list)
    """Words of its own, such as `fetch` of `violet models`."""
    flags: dict[str, str] = field(default_factory=dict)
    """What each flag is for."""
    choices: dict[str, list[str]] = field(default_factory=dict)
    """What a flag takes, where that is one of few."""


class _Found(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def main(argv: Sequence[str]) -> int:
    """Prints the shell's script."""
    parser = Parser(
        "completion",
        "Prints a script that makes your shell complete violet's commands, flags and their values.",
        '  eval "$(violet completion bash)"                                    in ~/.bashrc\n'
        '  eval "$(violet completion zsh)"                                     in ~/.zshrc\n'
        "  violet completion fish > ~/.config/fish/completions/violet.fish     once",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    found = parser.parse_args(argv)
    from violet.cli import COMMANDS

    words = {name: words_of(name, module) for name, (module, _) in COMMANDS.items()}
    print(SHELLS[found.shell](words, {name: summary for name, (_, summary) in COMMANDS.items()}))
    return 0


def words_of(name: str, module: str) -> Words:
    """The flags and choices of a command, from the parser that it makes."""

    def caught(self: argparse.ArgumentParser, *_: object) -> NoReturn:
        raise _Found(self)

    usual = argparse.ArgumentParser.parse_known_args
    argparse.ArgumentParser.parse_known_args = caught  # type: ignore[assignment, method-assign]
    words = Words()
    try:
        importlib.import_module(module).main([])
    except _Found as found:
        words = _read(found.parser)
    finally:
        argparse.ArgumentParser.parse_known_args = usual  # type: ignore[method-assign]
    if name == "proxy":
        # Its options are those of a program of its own, which only that can tell.
        told = subprocess.run([sys.executable, "-m", "violet", "proxy", "--help"], capture_output=True, text=True)
        for flag in re.findall(r"^ +(?:-\w, )?(--[\w.-]+)", told.stdout, re.MULTILINE):
            words.flags.setdefault(flag, "")
    return words


def _read(parser: argparse.ArgumentParser) -> Words:
    words = Words()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words.actions += action.choices
            for below in action.choices.values():
                inner = _read(below)
                words.flags |= inner.flags
                words.choices |= inner.choices
            continue
        help_text = "" if action.help in {None, argparse.SUPPRESS} else str(action.help).replace("%%", "%")
        long = [flag for flag in action.option_strings if flag.startswith("--")]
        words.flags |= dict.fromkeys(long, help_text)
        if action.choices is not None:
            values = [str(choice) for choice in action.choices]
            words.choices |= dict.fromkeys(action.option_strings, values)
            words.actions += [] if action.option_strings else values
    return words


def bash(words: Mapping[str, Words], summaries: Mapping[str, str]) -> str:
    """The script for bash."""
    cases = "\n".join(
        f'        "{name} "*) words="{" ".join([*inner.actions, *inner.flags])}" ;;' for name, inner in words.items()
    )
    values = "\n".join(
        f'        "{name} {flag}") words="{" ".join(choices)}" files= ;;'
        for name, inner in words.items()
        for flag, choices in inner.choices.items()
        if flag.startswith("-")
    )
    return f"""_violet() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} words= files=yes
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{" ".join(summaries)}" -- "$current"))
        return
    fi
    case "$command ${{COMP_WORDS[COMP_CWORD-1]}}" in
{values}
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    # What is no flag and none of few values may be a file.
    case $files$current in yes-*) ;; yes*) COMPREPLY+=($(compgen -f -- "$current")) ;; esac
}}
complete -o filenames -F _violet violet"""


def zsh(words: Mapping[str, Words], summaries: Mapping[str, str]) -> str:
    """The script for zsh, which understands that of bash."""
    # Without its own completion zsh has no `compdef`, which that of bash is written with.
    own = "(( ${+functions[compdef]} )) || { autoload -U compinit && compinit }"
    return f"{own}\nautoload -U +X bashcompinit && bashcompinit\n{bash(words, summaries)}"


def fish(words: Mapping[str, Words], summaries: Mapping[str, str]) -> str:
    """The script for fish."""

    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"

    lines = [
        f"complete -c violet -n __fish_use_subcommand -f -a {name} -d {quoted(summary)}"
        for name, summary in summaries.items()
    ]
    for name, inner in words.items():
        at = f"complete -c violet -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{at} -a {quoted(' '.join(inner.actions))}"] if inner.actions else []
        for flag, about in inner.flags.items():
            values = f" -x -a {quoted(' '.join(inner.choices[flag]))}" if flag in inner.choices else ""
            lines.append(f"{at} -l {flag.removeprefix('--')} -d {quoted(about)}{values}")
    return "\n".join(lines)


SHELLS: Mapping[str, Callable[[Mapping[str, Words], Mapping[str, str]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""What writes the script of each shell."""
