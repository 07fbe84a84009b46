"""What fits a machine: numbers worked by hand from the published sizes, and properties."""

import pytest

from violet import _core, models
from violet.cli.models import main
from violet.models.names import ALIASES, HUB_IDS
from violet.models.plan import (
    GIB,
    GPU_RESERVE_BYTES,
    MAX_WINDOWS,
    MINER_SET,
    PROCESS_BYTES,
    STAGING_BYTES,
    WhisperMemory,
    largest_that_fits,
    make_plan,
)

TURBO_PARAMETERS = 808_878_080
"""As the hub counts them in the model's own files."""
TURBO_VECTORS = 1948 * 1280 + 2 * 1280 + 32 * (8 + 4) * 1280 + 4 * (11 + 6) * 1280 + 2 * 2 * 1280
"""Of them in positions, biases and norms, which stay in float32."""


def test_every_published_size_has_a_place_on_the_hub() -> None:
    assert list(HUB_IDS) == _core.whisper_names()
    assert set(ALIASES.values()) <= set(HUB_IDS)


def test_turbo_in_half_precision_is_worked_by_hand() -> None:
    memory = WhisperMemory.of("turbo", "float16")
    assert memory.weights_bytes == 2 * (TURBO_PARAMETERS + TURBO_VECTORS)
    # Keys and values, 4 layers, 1,500 positions of 1,280 values of two bytes.
    assert memory.window_bytes == 2 * 4 * 1500 * 1280 * 2
    assert memory.row_bytes == 2 * 4 * 448 * 1280 * 2 + 4 * 51_866
    # The spectra, the same as rows between zeros, and six times the positions.
    assert memory.workspace_bytes == 128 * (3000 * 4 + 3002 * 2) + 6 * 1500 * 1280 * 2
    window_bytes = memory.window_bytes + memory.workspace_bytes
    assert memory.batch_bytes(3, 1) == 3 * (window_bytes + memory.row_bytes)
    # Beams change places, into a second cache.
    assert memory.batch_bytes(3, 5) == 3 * (window_bytes + 10 * memory.row_bytes)


def test_the_default_set_fits_the_networks_minimum() -> None:
    plan = make_plan(12 * GIB, 12 * GIB)
    assert plan.fits
    assert [item.residence for item in plan.items] == ["resident"] * (1 + len(MINER_SET))
    assert plan.memory.compute_type == "float16"
    assert plan.n_windows == MAX_WINDOWS
    assert plan.items[0].total_bytes <= plan.vram_bytes == 12 * GIB - GPU_RESERVE_BYTES


def test_a_smaller_gpu_takes_the_windows_that_are_left() -> None:
    plan = make_plan(4 * GIB, 12 * GIB, beam_size=5)
    # 4 GiB - 700 MiB = 3,560,964,096; less the weights 1,937,048,576; a window takes 30,720,000 + 25,344,512
    # + 2 x 5 x 9,382,504 = 149,889,552.
    assert plan.n_windows == 12


def test_without_a_gpu_whisper_shares_ram_with_the_others() -> None:
    plan = make_plan(0, 12 * GIB)
    assert plan.fits
    assert plan.memory.compute_type == "int8"
    assert {item.place for item in plan.items} == {"RAM"}
    assert sum(item.total_bytes for item in plan.items) <= plan.ram_bytes + sum(o.workspace_bytes for o in MINER_SET)


def test_small_ram_loads_the_others_on_demand() -> None:
    weights = sum(other.weights_bytes for other in MINER_SET)
    voice = MINER_SET[0]
    least = PROCESS_BYTES + STAGING_BYTES + voice.weights_bytes + voice.workspace_bytes
    plan = make_plan(12 * GIB, least + weights // 10)
    assert [item.residence for item in plan.items[1:]] == ["on demand"] * len(MINER_SET)
    plan = make_plan(12 * GIB, least - 1)
    assert [item.name for item in plan.items if item.residence == "does not fit"] == [voice.name]


def test_a_gpu_one_byte_too_small_takes_no_window() -> None:
    memory = WhisperMemory.of("large-v3", "float16")
    least = GPU_RESERVE_BYTES + memory.weights_bytes + memory.batch_bytes(1, 5)
    assert make_plan(least, 12 * GIB, model="large-v3", beam_size=5).n_windows == 1
    plan = make_plan(least - 1, 12 * GIB, model="large-v3", beam_size=5)
    assert (plan.n_windows, plan.fits) == (0, False)
    assert largest_that_fits(plan) in {"large-v1", "large-v2"}
    assert largest_that_fits(make_plan(GPU_RESERVE_BYTES, 12 * GIB)) is None


@pytest.mark.parametrize("compute_type", ["float32", "float16", "bfloat16", "int8"])
def test_more_memory_never_takes_fewer_windows(compute_type: str) -> None:
    for name in _core.whisper_names():
        counts = [
            make_plan(0, size * GIB, model=name, compute_type=compute_type).n_windows for size in (1, 2, 4, 8, 16, 64)
        ]
        assert counts == sorted(counts)


def test_unknown_models_and_types_are_refused_with_the_known_ones() -> None:
    with pytest.raises(models.UnknownModelError, match="large-v3-turbo"):
        make_plan(0, GIB, model="huge")
    with pytest.raises(ValueError, match="float32"):
        make_plan(0, GIB, compute_type="int3")


def test_the_command_prints_the_plan_and_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--vram", "12", "--ram", "12"]) == 0
    out = capsys.readouterr().out
    assert "Whisper large-v3-turbo" in out
    assert "1623.9 MB" in out  # 808,878,080 values of two bytes, and two more for 3,079,680 of them
    assert "resident" in out
    assert main(["plan", "--vram", "2", "--model", "large-v3"]) == 1
    error = capsys.readouterr().err
    assert f"{2 * GIB - GPU_RESERVE_BYTES} are available" in error
    assert "would fit" in error
