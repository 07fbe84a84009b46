"""What the demonstration shows: tasks as they go, answers with their verdicts, and who earns what."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from violet import wer, word_counts
from violet.chain import Hotkey
from violet.corpus import Clip
from violet.local_network import LocalNetwork, Member
from violet.protocol import ANALYSIS, SYNTHESIS, TRANSCRIPTION

NORMALIZER = "whisper-basic"
"""What texts go through before their words are compared."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is sent to the network."""

    name: str
    kind: str
    fields: Mapping[str, str]
    """The task's options, or its text."""
    clip: Clip | None = None
    """The task's audio."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job and what became of its task."""

    job: Job
    task: Mapping[str, Any]
    result: Mapping[str, Any] | None
    duration_s: float


class Display:
    """One line a task, rewritten in place on a terminal; elsewhere, a line for each change of state."""

    def __init__(self, names: Sequence[str]) -> None:
        self._lines = dict.fromkeys(names, "queued")
        self._width = max(map(len, names))
        self._is_live = sys.stdout.isatty()
        self._is_drawn = False
        if self._is_live:
            self._draw()

    def update(self, name: str, text: str) -> None:
        """Shows `text` behind `name`."""
        changed = self._lines[name] != text
        self._lines[name] = text
        if self._is_live:
            self._draw()
        elif changed:
            say(f"  {name:{self._width}}  {text}")

    def end(self) -> None:
        """Leaves the last state on the screen."""
        say("")

    def _draw(self) -> None:
        columns = shutil.get_terminal_size().columns - 1
        if self._is_drawn:
            sys.stdout.write(f"\x1b[{len(self._lines)}A")
        for name, text in self._lines.items():
            sys.stdout.write(f"\x1b[2K{f'  {name:{self._width}}  {text}'[:columns]}\n")
        sys.stdout.flush()
        self._is_drawn = True


def show_outcome(network: LocalNetwork, outcome: Outcome) -> None:
    """Prints a task, its answer, and what the validators say of every response."""
    task, job = outcome.task, outcome.job
    size = f"{task['input']['characters']} characters" if job.clip is None else f"{task['input']['duration_s']:.1f} s"
    say(f"{job.name}  {size}, {task['state']} after {outcome.duration_s:.1f} s")
    if job.kind == TRANSCRIPTION and job.clip is not None:
        _show_transcript(job.clip, (task.get("answer") or {}).get("text", "").strip())
    elif job.kind == ANALYSIS and outcome.result is not None:
        found = outcome.result
        say(
            f"  found  {found['loudness']['integrated_lufs']:.1f} LUFS, peak {found['level']['peak_dbfs']:.1f} dBFS, "
            f"pitch {found['pitch']['median_hz']:.0f} Hz"
        )
    elif job.kind == SYNTHESIS and outcome.result is not None:
        spoken = outcome.result
        say(f"  text   {job.fields['text']}")
        say(
            f"  audio  {spoken['duration_s']:.1f} s by {spoken['voice']}: "
            f"{network.url}/v1/tasks/{task['id']}/audio?format=wav"
        )
    verdict = task.get("verdict") or {}
    names = {member.hotkey: member for member in network.members if member.hotkey}
    for slot in task["slots"]:
        response = slot.get("response_id")
        if response is None:
            continue
        scores = ", ".join(
            f"{names[evaluation['validator']].name} {evaluation['scores'][response]['score']:.2f}"
            for evaluation in verdict.get("evaluations", [])
            if response in evaluation["scores"]
        )
        final = verdict.get("scores", {}).get(response)
        best = ", best" if verdict.get("best") == response else ""
        say(
            f"  {_label(names[slot['miner']]):14} answered in {slot['latency_s']:5.2f} s   {scores or 'not judged'}"
            f"   verdict {'-' if final is None else f'{final:.2f}'} {slot['state']}{best}"
        )
    say("")


def _show_transcript(clip: Clip, heard: str) -> None:
    say(f"  heard  {heard}")
    say(f"  truth  {clip.text}")
    rate = wer(clip.text, heard, NORMALIZER)
    hits, substitutions, deletions, insertions = word_counts(clip.text, heard, NORMALIZER)
    errors, words = substitutions + deletions + insertions, hits + substitutions + deletions
    say(f"  WER    {'none' if rate is None else f'{rate:.1%}'} ({errors} errors in {words} words)")


def _label(member: Member) -> str:
    return f"{member.name} (bad)" if member.is_bad else member.name


def show_emission(network: LocalNetwork) -> None:
    """Prints weights, incentive and emission of every neuron."""
    by_uid = {neuron.uid: neuron for neuron in network.chain.metagraph().neurons}
    weights = network.chain.weights()
    validators = [member for member in network.members if member.role == "validator"]
    header = "".join(f"{f'weight by {v.name}':>24}" for v in validators)
    say(f"\n  {'':14} {'uid':>3}{header}{'incentive':>12}{'emission':>12}")
    for member in network.members:
        if member.uid is None:
            continue
        neuron = by_uid[member.uid]
        row = "".join(
            f"{weights.get(v.uid or 0, {}).get(member.uid, 0.0):24.3f}" if member.role == "miner" else f"{'':24}"
            for v in validators
        )
        say(f"  {_label(member):14} {member.uid:3}{row}{neuron.incentive:12.3f}{neuron.emission:12.4f}")
    say("")


def summary(network: LocalNetwork, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What came of the tasks, and what every neuron earns, as JSON can write it."""
    by_uid = {neuron.uid: neuron for neuron in network.chain.metagraph().neurons}
    names = {member.hotkey: member.name for member in network.members if member.hotkey}
    weights = network.chain.weights()
    return {
        "proxy": network.url,
        "tasks": [_task_summary(outcome, names) for outcome in outcomes],
        "neurons": [
            {
                "name": member.name,
                "role": member.role,
                "uid": member.uid,
                "hotkey": member.hotkey,
                "is_bad": member.is_bad,
                "weights": {
                    names[by_uid[v].hotkey]: row[member.uid] for v, row in weights.items() if member.uid in row
                },
                "incentive": by_uid[member.uid].incentive,
                "dividends": by_uid[member.uid].dividends,
                "emission": by_uid[member.uid].emission,
            }
            for member in network.members
            if member.uid is not None
        ],
    }


def _task_summary(outcome: Outcome, names: Mapping[Hotkey, str]) -> dict[str, Any]:
    task, job = outcome.task, outcome.job
    verdict = task.get("verdict") or {}
    scores = verdict.get("scores", {})
    answers = {
        names[slot["miner"]]: {"latency_s": slot["latency_s"], "score": scores.get(slot["response_id"])}
        for slot in task["slots"]
        if slot.get("response_id") is not None
    }
    found = {
        "name": job.name,
        "id": task["id"],
        "kind": job.kind,
        "state": task["state"],
        "duration_s": outcome.duration_s,
        "answers": answers,
    }
    if job.kind == TRANSCRIPTION and job.clip is not None:
        text = (task.get("answer") or {}).get("text", "").strip()
        found |= {"text": text, "truth": job.clip.text, "wer": wer(job.clip.text, text, NORMALIZER)}
    return found


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)
