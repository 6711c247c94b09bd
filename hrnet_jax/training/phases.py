"""The stream of batches of a run, over its phases."""

import dataclasses
import itertools
import logging
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from hrnet_jax.data.examples import Examples
from hrnet_jax.data.stream.batches import Batch, train_batches
from hrnet_jax.data.stream.drawing import Likeliness, count_pixels, likeliness_of
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.tasks.protocol import Trains

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a run that trains on one split.

    Attributes:
        records: what is trained on.
        groups: int [N], which of them a batch may hold together; None if any.
        likeliness: what they are drawn by; None for each once an epoch.
        start: first step, from 0.
        steps: how many.
    """

    records: Examples
    groups: np.ndarray | None
    likeliness: Likeliness | None
    start: int
    steps: int

    @property
    def end(self) -> int:
        """First step after the phase."""
        return self.start + self.steps


def draws(config: TrainConfig, records: Examples) -> Likeliness | None:
    """What the records of a phase are drawn by, where `dataset.rare_classes` asks.

    Raises:
        ConfigError: if their pixels have no classes.
    """
    if not config.dataset.rare_classes:
        return None
    count = records.info.num_classes
    if not count:
        raise ConfigError(
            "config key 'dataset.rare_classes' draws images by the classes of their "
            f"pixels, of which data set {config.dataset.name!r} has none; expected 0"
        )
    _log.info("reading the labels of %d images, for dataset.rare_classes", len(records))
    pixels = count_pixels(records, count, config.dataset.threads)
    return likeliness_of(pixels, config.dataset.rare_classes)


def batches_of_phases(
    phases: Sequence[Phase], task: Trains, config: TrainConfig, first: int
) -> Iterator[Batch]:
    """Training batches of this process from a step on, to the end of the last phase.

    Each phase has an order and random numbers of its own: those of the seed of the run,
    and of the numbers that follow it.

    Args:
        phases: of the run, one behind the other.
        task: of the run.
        config: of the run.
        first: step of the first batch.
    """
    for number, phase in enumerate(phases):
        if first >= phase.end:
            continue
        begin = max(first, phase.start)
        stream = train_batches(
            phase.records,
            task.train_transform,
            batch_size=config.batch_size,
            seed=(config.seed + number) % 2**32,
            start_step=begin - phase.start,
            workers=config.dataset.workers,
            threads=config.dataset.threads,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            groups=phase.groups,
            likeliness=phase.likeliness,
        )
        try:
            yield from itertools.islice(stream, phase.end - begin)
        finally:
            stream.close()
