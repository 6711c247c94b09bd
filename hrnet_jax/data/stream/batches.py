"""From records to batches of NumPy arrays, with Grain.

Sample g of a training run (g = 0, 1, 2, ... over all epochs) is a pure function
of (seed, g): which record it shows, and the random numbers of its augmentation.
Batch n holds the samples n * B ... n * B + B - 1, in this order. So a run that
resumes at step n sees exactly the batches an uninterrupted one would see, with any
number of threads, worker processes or hosts.
"""

import functools
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import cv2
import grain
import numpy as np
from absl import flags

from hrnet_jax.data.stream.drawing import DrawnRecords, Likeliness
from hrnet_jax.data.stream.grouping import (
    GroupedEvaluation,
    GroupedRecords,
    Records,
    check_groups,
)
from hrnet_jax.errors import DataError

Sample = dict[str, Any]
Batch = dict[str, Any]

# More threads than this contend for the interpreter lock between decodings.
_MAX_THREADS = 16

# Samples of an endless stream. Grain's own, the largest integer there is, does not
# fit its length any more once batches have one sample.
_ENDLESS = 2**61


def train_batches(
    records: Records,
    transform: Callable[[Sample, np.random.Generator], Sample],
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    workers: int = 0,
    threads: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    groups: Sequence[int] | np.ndarray | None = None,
    likeliness: Likeliness | None = None,
) -> Generator[Batch, None, None]:
    """Endless stream of training batches, shuffled anew in every epoch.

    Every epoch is a permutation of all records; a batch may span two epochs.
    Call `close()` on the stream to end its threads or worker processes early.

    Args:
        records: where samples come from.
        transform: `(sample, rng) -> sample`; results must have equal shapes.
        batch_size: samples per global batch, over all processes.
        seed: of order and augmentation, 0 <= seed < 2**32.
        start_step: number of the first batch to yield.
        workers: worker processes; 0 uses threads of this process. Workers are
            started afresh ("spawn"), so scripts need the `__main__` guard.
        threads: without workers, threads that prepare one batch each; by
            default one per core, 16 at most.
        process_index: which of `process_count` hosts this is.
        process_count: hosts; host p gets the p-th of `process_count` equal parts
            of each batch.
        groups: of each record, where a batch must not mix them; then no batch spans two
            epochs (`grouping.train_order`).
        likeliness: draws the records by the classes in them instead, without epochs
            (`drawing.Likeliness`).

    Returns:
        Batches as `stack_samples` makes them, of batch_size / process_count
        samples each, all with `example_valid` true.

    Raises:
        DataError: if there are no records, or a number does not fit.
    """
    _check_sizes(records, batch_size, process_index, process_count)
    if not 0 <= seed < 2**32:
        raise DataError(f"seed must be in [0, 2**32), got {seed}")
    if start_step < 0:
        raise DataError(f"start_step must not be negative, got {start_step}")
    samples = _in_order(records, batch_size, seed, groups, likeliness)
    samples = samples.random_map(functools.partial(_transform_train, transform))
    batches = samples.batch(batch_size // process_count, batch_fn=stack_samples)
    first = start_step * process_count + process_index
    return _iterate(batches[first::process_count], workers, threads)


def _in_order(
    records: Records,
    batch_size: int,
    seed: int,
    groups: Sequence[int] | np.ndarray | None,
    likeliness: Likeliness | None,
) -> grain.MapDataset:
    """The endless stream of records; arguments as for `train_batches`."""
    if likeliness is not None:
        if groups is not None:
            raise DataError("records in groups cannot be drawn by the classes in them")
        drawn = DrawnRecords(records, likeliness, seed, _ENDLESS)
        return grain.MapDataset.source(drawn).seed(seed)
    if groups is None:
        shuffled = grain.MapDataset.source(records).seed(seed).shuffle()
        return shuffled.repeat(_ENDLESS // len(records))
    check_groups(groups, records)
    planned = GroupedRecords(records, groups, batch_size, seed, _ENDLESS)
    return grain.MapDataset.source(planned).seed(seed)


def eval_batches(
    records: Records,
    transform: Callable[[Sample], Sample],
    *,
    batch_size: int,
    workers: int = 0,
    threads: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    groups: Sequence[int] | np.ndarray | None = None,
) -> Iterator[Batch]:
    """Every record once, in order; the same number of batches on every host.

    The last batch is filled up with repetitions of the last record, for which
    `example_valid` is false.

    Args:
        records: where samples come from.
        transform: `sample -> sample`; results must have equal shapes.
        batch_size: samples per global batch, over all processes.
        workers: as for `train_batches`.
        threads: as for `train_batches`.
        process_index: which of `process_count` hosts this is.
        process_count: hosts; host p gets the p-th of `process_count` equal parts
            of each batch.
        groups: of each record, where a batch must not mix them; then the records come
            group after group, with `record`, their index (`grouping.eval_order`).

    Returns:
        Batches as `stack_samples` makes them.

    Raises:
        DataError: if there are no records, or a number does not fit.
    """
    _check_sizes(records, batch_size, process_index, process_count)
    order: Any = _PaddedRecords(records, transform, batch_size)
    if groups is not None:
        check_groups(groups, records)
        order = GroupedEvaluation(records, transform, groups, batch_size)
    samples = grain.MapDataset.source(order)
    batches = samples.batch(batch_size // process_count, batch_fn=stack_samples)
    return _iterate(batches[process_index::process_count], workers, threads)


def stack_samples(samples: Sequence[Sample]) -> Batch:
    """Stacks each key along a new first axis; strings become a list.

    Raises:
        DataError: if samples differ in their keys, or in a key's shape or dtype.
    """
    first = samples[0]
    for sample in samples:
        if sample.keys() != first.keys():
            raise DataError(
                f"samples {_name(first)} and {_name(sample)} differ in their keys: "
                f"{sorted(first)} and {sorted(sample)}"
            )
    return {key: _stack_key(key, samples) for key in first}


class _PaddedRecords:
    """Transformed records, repeated at the end up to whole batches."""

    def __init__(self, records: Records, transform: Callable, batch_size: int):
        self._records = records
        self._transform = transform
        self._length = -(-len(records) // batch_size) * batch_size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        last = len(self._records) - 1
        sample = self._transform(self._records[min(index, last)])
        return {**sample, "example_valid": np.bool_(index <= last)}


def _transform_train(
    transform: Callable, sample: Sample, rng: np.random.Generator
) -> Sample:
    return {**transform(sample, rng), "example_valid": np.True_}


def _iterate(
    batches: grain.MapDataset, workers: int, threads: int | None
) -> Generator[Batch, None, None]:
    """Makes batches ahead of their use, in threads or worker processes."""
    if workers:
        _mark_flags_parsed()
        # A worker takes every `workers`-th batch whole, so the order of the
        # stream does not depend on their number.
        one_at_a_time = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
        dataset = batches.to_iter_dataset(one_at_a_time).mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2),
            worker_init_fn=_start_worker,
        )
    else:
        threads = threads or min(os.cpu_count() or 1, _MAX_THREADS)
        dataset = batches.to_iter_dataset(
            grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 1)
        )
    return _closing(dataset)


def _closing(dataset: grain.IterDataset) -> Generator[Batch, None, None]:
    """Yields from `dataset`; closing this generator ends threads and workers."""
    iterator = iter(dataset)
    try:
        yield from iterator
    finally:
        iterator.close()


def _start_worker(index: int, count: int) -> None:
    """Prepares a worker process: one thread each, the cores are shared out."""
    del index, count
    # A terminal sends Ctrl-C to workers as well; they end with whom they work for.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _mark_flags_parsed() -> None:
    """Lets Grain read its absl flags where no command line was parsed.

    Starting workers reads them once JAX is imported, and notebooks and test runners
    never parse flags. A later `app.run` still parses as usual.
    """
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _stack_key(key: str, samples: Sequence[Sample]) -> Any:
    values = [sample[key] for sample in samples]
    if isinstance(values[0], str):
        return values
    arrays = [np.asarray(value) for value in values]
    for sample, array in zip(samples, arrays, strict=True):
        if array.shape != arrays[0].shape or array.dtype != arrays[0].dtype:
            raise DataError(
                f"{key!r} cannot be batched: {_name(samples[0])} has "
                f"{arrays[0].dtype} {list(arrays[0].shape)}, {_name(sample)} has "
                f"{array.dtype} {list(array.shape)}; the transform must bring all "
                "samples to one size"
            )
    return np.stack(arrays)


def _name(sample: Sample) -> str:
    return repr(sample.get("image_id", "a sample without image_id"))


def _check_sizes(
    records: Records, batch_size: int, process_index: int, process_count: int
) -> None:
    if len(records) == 0:
        raise DataError("there are no records to make batches of")
    if batch_size < 1:
        raise DataError(f"batch_size must be positive, got {batch_size}")
    if not 0 <= process_index < process_count:
        raise DataError(
            f"process_index must be in [0, process_count), got {process_index} "
            f"of {process_count}"
        )
    if batch_size % process_count:
        raise DataError(
            f"batch_size {batch_size} is not divisible by the {process_count} processes"
        )
