"""How fast a run goes, and the line that says so."""

import contextlib
import sys
import time
from collections.abc import Iterator

from tqdm import tqdm

from hrnet_jax.experiment.sections import LoggingOptions
from hrnet_jax.runtime import processes
from hrnet_jax.runtime.memory import most_memory

# Of the scalars of a logging interval, those that say nothing of what was learned.
STEPS, IMAGES = "train/steps_per_second", "train/images_per_second"
DATA_WAIT, MEMORY = "train/data_wait", "train/memory_gb"
SPEEDS = (STEPS, IMAGES, DATA_WAIT, MEMORY)


def shows_bar(options: LoggingOptions) -> bool:
    """Whether progress is a bar: at a terminal or in a notebook.

    A bar in a file is a line of control characters without end.
    """
    is_live = sys.stderr.isatty() or _in_a_notebook()
    return options.progress and processes.is_first() and is_live


def _in_a_notebook() -> bool:
    """Whether a kernel runs this; that its package was imported says nothing yet."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Speed:
    """Clock of a run: nothing counts but training, neither compilation nor evaluation.

    Args:
        batch_size: images per step, over all processes.
        steps: steps left in the run.
    """

    def __init__(self, batch_size: int, steps: int):
        self._batch_size = batch_size
        self._steps = steps
        self._done = 0
        self._start = self._began = time.perf_counter()
        self._waited = 0.0

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Context of what does not count: an evaluation, a save."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    @contextlib.contextmanager
    def waiting_for_data(self) -> Iterator[None]:
        """Context of a request for the next batch."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    def finish_interval(self, steps: int) -> dict[str, float]:
        """Figures of an interval of so many steps, and begins the next.

        Returns:
            By the names of `SPEEDS`: steps and images per second, the fraction of time
            in which nothing was done but waiting for a batch, and the most memory held
            so far, in 10^9 bytes.
        """
        now, waited = time.perf_counter(), self._waited
        seconds = now - self._start
        self._start, self._waited = now, 0.0
        self._done += steps
        return {
            STEPS: steps / seconds,
            IMAGES: steps * self._batch_size / seconds,
            DATA_WAIT: waited / seconds,
            MEMORY: most_memory() / 1e9,
        }

    def seconds_left(self) -> float:
        """Until the last step, at the pace so far, evaluations included."""
        seconds = time.perf_counter() - self._began
        return seconds / max(self._done, 1) * (self._steps - self._done)


def progress_line(step: int, last: int, values: dict[str, float], left: float) -> str:
    """`step 100/300 loss 1.320 lr 1.9e-03 6.4 steps/s ... left 00:31`.

    Args:
        step: now.
        last: of the run.
        values: scalars of the interval.
        left: seconds.
    """
    return (
        f"step {step}/{last} loss {values['train/loss']:.3f} "
        f"lr {values['train/learning_rate']:.1e} {values[STEPS]:.3g} steps/s "
        f"{values[IMAGES]:.3g} images/s data {values[DATA_WAIT]:.0%} "
        f"memory {values[MEMORY]:.1f} GB left {tqdm.format_interval(left)}"
    )
