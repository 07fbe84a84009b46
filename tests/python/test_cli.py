"""The command line: what is printed, where, and with which exit code."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import violet
from fixtures.commands import Run, run_here, run_process
from violet.cli import COMMANDS, completion, describe


def run(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Run:
    return run_here(*arguments, env=os.environ | (env or {}), cwd=cwd)


def assert_one_line_error(done: Run, code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("violet: error: ")
    for word in words:
        assert word in lines[0]


def test_version_is_the_package_version() -> None:
    done = run_process("--version")
    assert (done.returncode, done.stdout) == (0, f"violet {violet.__version__}\n")


def test_help_lists_every_command_and_asks_for_one_where_none_is_given() -> None:
    done = run_process("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    bare = run()
    assert (bare.returncode, bare.stdout, bare.stderr) == (2, "", done.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_names_it(name: str) -> None:
    # The proxy's own program writes it, past Python's streams.
    done = (run_process if name == "proxy" else run)(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
    assert name in done.stdout.splitlines()[0]


def test_import_and_version_load_neither_the_sdk_nor_a_server() -> None:
    code = (
        "import sys, violet, violet.cli; violet.cli.main(['--version']);"
        "heavy = {'bittensor', 'fastapi', 'aiohttp', 'pydantic', 'requests', 'asyncio', 'torch'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["transcrib"], 2, ["'transcrib'", "did you mean transcribe?"], id="unknown-command"),
        pytest.param(["frobnicate"], 2, ["'frobnicate'", "transcribe", "doctor"], id="command-like-no-other"),
        pytest.param(["submit", "a", "--output", "b"], 2, ["--output needs --watch"], id="answer-without-waiting"),
        pytest.param(["score", "a"], 2, ["HYP"], id="missing-argument"),
        pytest.param(["score", "a", "b", "--jsn"], 2, ["--jsn"], id="unknown-flag"),
        pytest.param(["transcribe", "a", "--temperature", "3"], 2, ["'3'", "from 0 to 2"], id="out-of-range"),
        pytest.param(["transcribe", "a", "--patience", "0"], 2, ["'0'", "from 0.01 to 100"], id="no-patience"),
        pytest.param(["transcribe", "a", "--clip-timestamps", "1,x"], 2, ["'x'", "a number"], id="no-time"),
        pytest.param(["transcribe", "a", "--format", "doc"], 2, ["doc", "srt"], id="unknown-format"),
        pytest.param(["transcribe", "a", "b", "--format", "srt"], 2, ["--output-dir"], id="two-files-on-one-screen"),
        pytest.param(["score", "nowhere", "nowhere"], 1, ["nowhere: No such file"], id="no-file"),
        pytest.param(["models", "path", "huge"], 1, ["'huge'", "tiny.en"], id="unknown-model"),
        pytest.param(["proxy", "--netuid", "x"], 2, ["'x'"], id="netuid-is-no-number"),
        pytest.param(["metagraph", "--subtensor.network", "mars"], 2, ["'mars'", "finney"], id="unknown-network"),
        pytest.param(["metagraph", "--subtensor.network", "local"], 2, ["--netuid"], id="no-default-netuid"),
    ],
)
def test_wrong_use_is_one_line_with_its_code(
    arguments: Sequence[str], code: int, words: Sequence[str], tmp_path: Path
) -> None:
    assert_one_line_error(run(*arguments, cwd=tmp_path), code, *words)


def test_wrong_value_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    done = run("metagraph", env={"BT_NETUID": "many"}, cwd=tmp_path)
    assert_one_line_error(done, 2, "BT_NETUID", "'many'")


def test_traceback_is_shown_when_asked_for(tmp_path: Path) -> None:
    for arguments, env in ((["--logging.debug"], {}), ([], {"VIOLET_DEBUG": "1"})):
        done = run_process("score", "nowhere", "nowhere", *arguments, env=os.environ | env, cwd=tmp_path)
        assert done.returncode == 1
        assert "Traceback" in done.stderr


def test_fault_of_our_own_says_how_to_see_where() -> None:
    assert describe(KeyError("x")) == "KeyError: 'x' (set VIOLET_DEBUG=1 to see where)"
    assert describe(FileNotFoundError(2, "No such file or directory", "a.wav")) == "a.wav: No such file or directory"
    assert describe(ValueError("two\nlines")) == "two lines"


def test_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a\n")
    command = f"{sys.executable} -m violet score a a | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stderr == ""


def test_interrupt_is_130_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "reference")
    command = [sys.executable, "-m", "violet", "score", "reference", "reference"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        # Opening the other end succeeds only once the command reads: it is at work now.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                writer = os.open(tmp_path / "reference", os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:
                time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        os.close(writer)
    assert process.returncode == 130
    assert "Traceback" not in stderr


def test_score_by_hand(tmp_path: Path) -> None:
    # words: world/word substituted, brown deleted, of 6; characters by hand: l deleted; "brown " deleted, of 30
    (tmp_path / "truth").write_text("hello world\nthe quick brown fox\n")
    (tmp_path / "heard").write_text("hello word\nthe quick fox\n")
    done = run("score", "truth", "heard", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["wer"] == 2 / 6
    assert result["words"] == {"hits": 4, "substitutions": 1, "deletions": 1, "insertions": 0}
    assert result["cer"] == 7 / 30
    assert (result["lines"], result["exact_lines"]) == (2, 0)
    readable = run("score", "truth", "heard", cwd=tmp_path).stdout
    assert "33.33%  2 errors in 6 words: 1 substituted, 1 deleted, 0 inserted" in readable


def test_score_of_an_empty_reference_is_none_not_a_number(tmp_path: Path) -> None:
    (tmp_path / "truth").write_text("\n")
    (tmp_path / "heard").write_text("two words\n")
    result = json.loads(run("score", "truth", "heard", "--json", cwd=tmp_path).stdout)
    assert result["wer"] is None
    assert result["words"]["insertions"] == 2
    assert "none: the reference has no words (2 inserted)" in run("score", "truth", "heard", cwd=tmp_path).stdout


def test_score_needs_the_same_lines_unless_the_texts_are_whole(tmp_path: Path) -> None:
    (tmp_path / "truth").write_text("one two\nthree\n")
    (tmp_path / "heard").write_text("one two three\n")
    done = run("score", "truth", "heard", cwd=tmp_path)
    assert_one_line_error(done, 1, "truth has 2 lines", "heard has 1", "--whole")
    assert json.loads(run("score", "truth", "heard", "--whole", "--json", cwd=tmp_path).stdout)["wer"] == 0.0


def test_score_of_speakers_refuses_what_is_for_utterances(tmp_path: Path) -> None:
    (tmp_path / "truth.stm").write_text("s 1 Ann 0 2 hello\n")
    done = run("score", "truth.stm", "truth.stm", "--align", cwd=tmp_path)
    assert_one_line_error(done, 1, "--align is for utterances", "truth.stm")


def test_score_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth").write_bytes("na\xefve\n".encode("latin-1"))
    assert_one_line_error(run("score", "truth", "truth", cwd=tmp_path), 1, "not UTF-8", "byte 2", "0xef")


def test_models_list_names_the_cache_and_what_is_in_it(tmp_path: Path) -> None:
    done = run("models", "list", env={"VIOLET_CACHE": str(tmp_path)})
    assert done.returncode == 0
    assert re.search(r"^tiny\.en +missing +78\.1 MB", done.stdout, re.MULTILINE)
    assert f"cache: {tmp_path}" in done.stdout


def test_models_path_never_fetches(tmp_path: Path) -> None:
    done = run("models", "path", "tiny.en", env={"VIOLET_CACHE": str(tmp_path)})
    assert_one_line_error(done, 1, "is not cached", "violet models fetch tiny.en")


def test_models_verify_reports_damage_with_code_1(tmp_path: Path) -> None:
    directory = tmp_path / "models" / "tiny.en"
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    done = run("models", "verify", env={"VIOLET_CACHE": str(tmp_path)})
    assert done.returncode == 1
    assert "config.json has 2 bytes, expected 2317" in done.stdout
    assert "model.bin is missing" in done.stdout


def test_bash_completes_commands_actions_flags_and_choices() -> None:
    script = run("completion", "bash").stdout

    def completed(*words: str) -> set[str]:
        typed = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _violet"
        command = ["bash", "--norc", "-c", f"{script}\n{typed}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert completed("violet", "tr") == {"transcribe"}
    assert completed("violet", "models", "f") >= {"fetch"}
    assert completed("violet", "submit", "--wat") == {"--watch"}
    assert completed("violet", "transcribe", "--format", "s") == {"srt"}
    assert completed("violet", "proxy", "--api") == {"--api-keys"}, "an option of the proxy's own program"
    assert "--wallet.name" in completed("violet", "miner", "--wallet")


def test_other_shells_get_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main(["fish"]) == 0
    fish = capsys.readouterr().out
    assert all(f" -a {name} -d " in fish for name in COMMANDS)
    assert "-l format -d" in fish
    assert completion.main(["zsh"]) == 0
    assert "\nautoload -U +X bashcompinit && bashcompinit\n" in capsys.readouterr().out
    assert_one_line_error(run("completion", "tcsh"), 2, "'tcsh'", "bash")


def test_json_is_json(tmp_path: Path) -> None:
    def lines(*arguments: str | Path) -> list[Mapping[str, object]]:
        done = run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    clip = Path(violet.__file__).parent / "data/speech/jfk.flac"
    (voice,) = (one for one in lines("voices") if one["name"] == "joe")
    assert voice["sample_rate"] == 22_050
    assert {"tiny.en", "base"} <= {one["name"] for one in lines("models", "list")}
    assert lines("models", "path", "tiny.en")[0]["name"] == "tiny.en"
    assert lines("models", "plan", "--model", "base")[0]["fits"] is True
    assert {one["what"] for one in lines("doctor")} >= {"Python", "disk"}
    assert lines("convert", clip, tmp_path / "a.wav")[0]["sample_rate"] == 16_000
