"""The command line `violet`: finds the command, runs it, and turns failures into one line and an exit code.

Exit codes: 0 done, 1 failed (one line says why), 2 wrong usage, 130 stopped by Ctrl-C.
"""

import difflib
import importlib
import os
import re
import sys
from collections.abc import Mapping, Sequence

COMMANDS: Mapping[str, tuple[str, str]] = {
    "transcribe": ("violet.cli.transcribe", "speech to text on this machine"),
    "speak": ("violet.cli.speak", "text to speech on this machine"),
    "voices": ("violet.cli.voices", "the voices known by name"),
    "info": ("violet.cli.info", "what an audio file is: length, rate, channels, codec, tags"),
    "convert": ("violet.cli.convert", "convert audio to wav, flac, opus, mp3 or aac"),
    "analyze": ("violet.cli.analyze", "what a recording is like: levels, loudness, pitch, spectrum, speech"),
    "score": ("violet.cli.score", "word and character error rates of transcripts"),
    "models": ("violet.cli.models", "models in the cache: list, fetch, path, verify, plan"),
    "submit": ("violet.cli.submit", "send audio or text to a proxy, and watch"),
    "tasks": ("violet.cli.tasks", "your tasks at a proxy"),
    "result": ("violet.cli.result", "the answer of a task"),
    "miner": ("violet.miner", "work for the network: transcribe, speak and analyze"),
    "validator": ("violet.validator", "judge miners and set weights on chain"),
    "bench": ("violet.cli.bench", "how fast this machine does each kind of task, and a capacity for a miner"),
    "weights": ("violet.cli.weights", "the weights that a validator would set now, and why"),
    "status": ("violet.cli.status", "the subnet as chain and proxy see it, as a live table"),
    "proxy": ("violet.cli.proxy", "the service between users, miners and validators"),
    "metagraph": ("violet.cli.metagraph", "who is registered on the subnet, once or kept up to date in a file"),
    "localnet": ("violet.cli.localnet", "a chain in a file, for trying things"),
    "simulate": ("violet.cli.simulate", "what each kind of miner and validator earns under the subnet's rules"),
    "demo": ("violet.demo", "run a whole network on this machine and show it at work"),
    "doctor": ("violet.doctor", "what is missing on this machine, and how to fix it"),
    "completion": ("violet.cli.completion", "shell completion for bash, zsh and fish"),
}
"""The module whose `main(argv)` runs each command, and what the command does."""

FAILURE, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes of a command that did not do what it was asked."""

DEBUG_FLAGS = frozenset({"--logging.debug", "--logging.trace"})
"""Flags that show where an error comes from."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    is_debug = bool(DEBUG_FLAGS.intersection(arguments)) or os.environ.get("VIOLET_DEBUG", "") not in {"", "0"}
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("violet: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output is gone (`violet .. | head`): nothing more to say, to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except Exception as error:
        if is_debug:
            raise
        print(f"violet: error: {describe(error)}", file=sys.stderr)
        return FAILURE
    return code


def describe(error: BaseException) -> str:
    """An error in one line: what was wrong, and for a fault of Violet's own, how to see where."""
    from violet import VioletError

    text = re.sub(r" \(os error \d+\)$", "", " ".join(str(error).split()))
    if isinstance(error, (VioletError, ValueError)) and text:
        return text
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, OSError) and text:
        return text
    return f"{type(error).__name__}: {text or 'no message'} (set VIOLET_DEBUG=1 to see where)"


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(_help(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else USAGE
    name, rest = arguments[0], arguments[1:]
    if name in {"-V", "--version"}:
        from violet import __version__

        print(f"violet {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
        print(f"violet: error: no command {name!r}; {hint}", file=sys.stderr)
        return USAGE
    code: int = importlib.import_module(COMMANDS[name][0]).main(rest)
    return code


def _help() -> str:
    commands = "\n".join(f"  {name:<11} {summary}" for name, (_, summary) in COMMANDS.items())
    return f"""usage: violet COMMAND [OPTION ..]

Violet: speech recognition and synthesis, their scoring, and a Bittensor subnet for audio.

{commands}

`violet COMMAND --help` explains a command. For example:
  violet demo                                  see the whole network at work
  violet transcribe talk.mp3 --format srt      write subtitles to the screen
  violet score truth.txt heard.txt             how good a transcript is
  violet doctor                                what is missing on this machine

VIOLET_CACHE=DIR keeps models elsewhere; VIOLET_OFFLINE=1 forbids fetching them; VIOLET_DEBUG=1 shows tracebacks."""
