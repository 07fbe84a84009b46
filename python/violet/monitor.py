"""A neuron's metrics on Weights & Biases: the only importer of wandb.

A thread of its own takes a sample of the metrics now and then. What goes wrong there (no package, no network, no
account) is a line in the log and another try later; the neuron itself never waits for it.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

log = logging.getLogger("violet")

SAMPLE_S = 30.0
"""Time between two samples."""

MAX_SAMPLED = 500
"""Most values of one sample: more would be a metric per user or task."""

RETRY_S = (30.0, 1800.0)
"""Wait after a failure, doubled each time up to the greater."""

STOP_WAIT_S = 10.0
"""How long the end of the neuron waits for the last sample to be written."""

INIT_WAIT_S = 60.0
"""How long wandb may look for its server."""


@dataclass(frozen=True, slots=True)
class WandbSettings:
    """Where samples go."""

    mode: Literal["online", "offline", "disabled"]
    project: str
    entity: str | None
    notes: str | None
    directory: Path
    """Where runs are written; those of `offline` stay there for `wandb sync`."""


class WandbMonitor:
    """Sends samples until it is closed; use it with `with`.

    Args:
        settings: Where to.
        name: What the run is called.
        facts: What is said of the neuron: public things only, for everybody may read them.
        sample: Takes the values; called from the monitor's thread.
        sample_s: Time between two samples.
    """

    def __init__(
        self,
        settings: WandbSettings,
        name: str,
        facts: Mapping[str, Any],
        sample: Callable[[], Mapping[str, float]],
        *,
        sample_s: float = SAMPLE_S,
    ) -> None:
        self._settings = settings
        self._name = name
        self._facts = dict(facts)
        self._sample = sample
        self._sample_s = sample_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begins, unless monitoring is off."""
        if self._settings.mode != "disabled":
            self._thread = threading.Thread(target=self._run, name="wandb", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes a last sample and ends; waits `STOP_WAIT_S` at most."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(STOP_WAIT_S)

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._one_run()
            except ImportError:
                log.warning("wandb is not installed, so nothing is sent there; pip install 'violet[wandb]'")
                return
            except Exception as error:  # whatever a foreign library raises must not end or disturb the neuron
                if time.monotonic() - began > RETRY_S[1]:
                    failures = 0
                failures += 1
                wait_s = min(RETRY_S[1], RETRY_S[0] * 2 ** min(failures - 1, 16)) * random.uniform(0.75, 1.25)
                log.warning("wandb: %s; trying again in %.0f s", " ".join(str(error).split())[:200], wait_s)
                self._stopped.wait(wait_s)

    def _one_run(self) -> None:
        """One run, from its beginning until the monitor is closed."""
        import wandb

        settings = self._settings
        settings.directory.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=settings.project,
            entity=settings.entity,
            notes=settings.notes,
            name=self._name,
            dir=str(settings.directory),
            config=self._facts,
            mode=settings.mode,
            reinit="create_new",
            save_code=False,
            settings=wandb.Settings(
                # Nothing of the machine, the command line or the terminal: paths and addresses are nobody's business.
                console="off",
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                host="neuron",
                username="neuron",
                email="",
                root_dir=str(settings.directory),
                program="violet",
                init_timeout=INIT_WAIT_S,
                silent=True,
            ),
        )
        try:
            while True:
                is_last = self._stopped.wait(self._sample_s)
                run.log(dict(list(self._sample().items())[:MAX_SAMPLED]))
                if is_last:
                    return
        finally:
            run.finish()
