"""What of a miner's models fits a machine: bytes of weights, caches and workspace, and what is loaded when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from violet import _core
from violet.models.errors import UnknownModelError
from violet.models.names import ALIASES

GIB = 1 << 30

DEFAULT_MODEL = "large-v3-turbo"
"""The Whisper model that a miner runs unless told otherwise."""

MAX_WINDOWS = 128
"""Most windows that are decoded together; more brings no speed."""

GPU_RESERVE_BYTES = 700 << 20
"""What a CUDA context, the matrix library's workspace and the allocator's gaps take of a GPU."""

PROCESS_BYTES = 600 << 20
"""What Python, the extension, audio being decoded and the operating system's share of a process take of RAM."""

STAGING_BYTES = 300 << 20
"""What loading onto a GPU takes of RAM for a moment: the largest tensor in float32 (51,866 x 1,280)."""


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A model beside Whisper. It runs on the processor."""

    name: str
    task: str
    weights_bytes: int
    """Size of the file. Source: the packages that carry it."""
    workspace_bytes: int
    """What 30 s of audio take while it runs, generously."""


MINER_SET: tuple[SmallModel, ...] = (
    SmallModel("voice en_US-joe (VITS)", "synthesis", 63_200_000, 200 << 20),
    SmallModel("Silero VAD v6", "voice activity", 1_240_000, 4 << 20),
    SmallModel("DistillMOS v7", "speech quality", 17_000_000, 150 << 20),
    SmallModel("DNSMOS P.835 and P.808", "speech quality", 1_380_000, 60 << 20),
    SmallModel("GE2E speaker vectors", "voice likeness", 17_000_000, 20 << 20),
)
"""What a miner and a validator load beside Whisper."""


@dataclass(frozen=True, slots=True)
class WhisperMemory:
    """Bytes that a Whisper model takes with one kind of numbers."""

    compute_type: str
    weights_bytes: int
    window_bytes: int
    """Keys and values of a window of 30 s, for all decoder layers."""
    row_bytes: int
    """Keys, values and scores of one sequence of tokens at its full length."""
    workspace_bytes: int
    """What the encoder works in, a window."""

    @classmethod
    def of(cls, name: str, compute_type: str) -> Self:
        """From the published sizes of a model.

        Raises:
            UnknownModelError: `name` is not a published model.
        """
        name = ALIASES.get(name, name)
        names = _core.whisper_names()
        if name not in names:
            raise UnknownModelError(f"no model {name!r}; expected one of {', '.join(names)}")
        return cls(compute_type, *_core.whisper_memory(name, compute_type))

    def batch_bytes(self, n_windows: int, beam_size: int) -> int:
        """What decoding so many windows together takes beside the weights.

        On a GPU (in half precision) beams that change places are copied into a second cache.
        """
        n_rows = 2 * beam_size if beam_size > 1 and self.compute_type in {"float16", "bfloat16"} else beam_size
        return n_windows * (self.window_bytes + self.workspace_bytes + n_rows * self.row_bytes)


@dataclass(frozen=True, slots=True)
class Item:
    """One model of a plan."""

    name: str
    task: str
    place: Literal["GPU", "RAM"]
    residence: Literal["resident", "on demand", "does not fit"]
    weights_bytes: int
    work_bytes: int
    """Caches and workspace while it works."""

    @property
    def total_bytes(self) -> int:
        """Weights and work."""
        return self.weights_bytes + self.work_bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes where."""

    memory: WhisperMemory
    n_windows: int
    """Windows of 30 s that are decoded together; 0 when the model does not fit."""
    beam_size: int
    items: tuple[Item, ...]
    vram_bytes: int
    """Usable, with the reserve taken off; 0 without a GPU."""
    ram_bytes: int
    """Usable, with the process itself taken off."""

    @property
    def whisper_bytes(self) -> int:
        """Usable where Whisper runs: of the GPU, or of RAM."""
        return self.vram_bytes if self.items[0].place == "GPU" else self.ram_bytes

    @property
    def fits(self) -> bool:
        """Whether every model can be used."""
        return all(item.residence != "does not fit" for item in self.items)


def make_plan(
    vram_bytes: int,
    ram_bytes: int,
    *,
    model: str = DEFAULT_MODEL,
    compute_type: str = "auto",
    beam_size: int = 1,
    others: Sequence[SmallModel] = MINER_SET,
) -> Plan:
    """Places the models of a miner: Whisper on the GPU if there is one, the others in RAM.

    Models stay loaded while all fit together; else the smaller ones share one place and are loaded when a task asks for
    them.

    Args:
        vram_bytes: Memory of the GPU; 0 for none.
        ram_bytes: Memory of the machine.
        model: A published Whisper model.
        compute_type: `auto` is `float16` on a GPU and `int8` without one.
        beam_size: Sequences a window.
        others: The models beside Whisper.

    Raises:
        UnknownModelError: `model` is not a published model.
        ValueError: An unknown compute type.
    """
    has_gpu = vram_bytes > 0
    if compute_type == "auto":
        compute_type = "float16" if has_gpu else "int8"
    memory = WhisperMemory.of(model, compute_type)
    vram = max(0, vram_bytes - GPU_RESERVE_BYTES)
    ram = max(0, ram_bytes - PROCESS_BYTES - (STAGING_BYTES if has_gpu else 0))
    weights = sum(other.weights_bytes for other in others)
    work = max((other.workspace_bytes for other in others), default=0)
    largest = max((other.weights_bytes + other.workspace_bytes for other in others), default=0)
    # What Whisper may take: on a GPU all of it; in RAM, what the others leave when they stay, or when they take turns.
    is_resident = weights + work + (0 if has_gpu else memory.weights_bytes + memory.batch_bytes(1, beam_size)) <= ram
    room = vram if has_gpu else ram - (weights + work if is_resident else largest)
    n_windows = 0
    if room >= memory.weights_bytes:
        n_windows = min(MAX_WINDOWS, (room - memory.weights_bytes) // memory.batch_bytes(1, beam_size))
    whisper_bytes = memory.weights_bytes + memory.batch_bytes(max(n_windows, 1), beam_size)
    left = ram if has_gpu else ram - (whisper_bytes if n_windows else 0)
    whisper = Item(
        f"Whisper {model}",
        "transcription",
        "GPU" if has_gpu else "RAM",
        "resident" if n_windows else "does not fit",
        memory.weights_bytes,
        whisper_bytes - memory.weights_bytes,
    )
    items = [whisper]
    for other in others:
        fits = other.weights_bytes + other.workspace_bytes <= left
        residence: Literal["resident", "on demand", "does not fit"] = "on demand" if fits else "does not fit"
        if fits and is_resident:
            residence = "resident"
        items.append(Item(other.name, other.task, "RAM", residence, other.weights_bytes, other.workspace_bytes))
    return Plan(memory, n_windows, beam_size, tuple(items), vram, ram)


def largest_that_fits(plan: Plan) -> str | None:
    """The published model with the most weights that fits where the plan's does not, in its numbers."""
    best: tuple[int, str] | None = None
    for name in _core.whisper_names():
        memory = WhisperMemory.of(name, plan.memory.compute_type)
        if memory.weights_bytes + memory.batch_bytes(1, plan.beam_size) <= plan.whisper_bytes:
            best = max(best or (0, ""), (memory.weights_bytes, name))
    return best[1] if best else None
