"""The stream of batches: what it depends on, and what it must not depend on."""

import itertools
import multiprocessing
import threading

import numpy as np
import pytest

from hrnet_jax.data.stream import batches
from hrnet_jax.errors import DataError
from tests.tiers import fast_are


class Numbers:
    """Records whose sample i is the number i."""

    def __init__(self, length: int):
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict:
        return {"class": np.int32(index), "image_id": f"number-{index}"}


def draw(sample: dict, rng: np.random.Generator) -> dict:
    """An augmentation: adds a random number."""
    return {**sample, "draw": rng.random(2)}


def same(sample: dict) -> dict:
    return sample


def fail_at_three(sample: dict, rng: np.random.Generator) -> dict:
    if sample["class"] == 3:
        raise DataError("number-3.png is broken")
    return sample


def take(count: int, *, length=10, transform=draw, batch_size=4, seed=7, **kwargs):
    """The first `count` training batches; the stream is closed."""
    stream = batches.train_batches(
        Numbers(length), transform, batch_size=batch_size, seed=seed, **kwargs
    )
    taken = list(itertools.islice(stream, count))
    stream.close()
    return taken


def evaluate(length: int, **kwargs) -> list[dict]:
    return list(batches.eval_batches(Numbers(length), same, **kwargs))


def classes(batches) -> list[int]:
    return np.concatenate([batch["class"] for batch in batches]).tolist()


def assert_equal(first: list[dict], second: list[dict]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)


def test_batches_stack_samples_and_keep_strings():
    (batch,) = take(1)
    assert batch["class"].shape == (4,) and batch["class"].dtype == np.int32
    assert batch["draw"].shape == (4, 2)
    assert batch["image_id"] == [f"number-{number}" for number in batch["class"]]
    assert batch["example_valid"].tolist() == [True] * 4
    assert batch["example_valid"].dtype == np.bool_


def test_each_epoch_is_another_permutation_of_all_records():
    stream = classes(take(15))  # six epochs of 10, in batches of 4
    epochs = [tuple(stream[start : start + 10]) for start in range(0, 60, 10)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert len(set(epochs)) == 6


@pytest.mark.parametrize("length", fast_are([10], [1, 10]))
@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_one_are_the_samples_of_larger_ones(length, workers):
    alone = take(8, length=length, batch_size=1, workers=workers)
    assert classes(alone) == classes(take(2, length=length))
    np.testing.assert_array_equal(
        np.concatenate([batch["draw"] for batch in alone]),
        np.concatenate([batch["draw"] for batch in take(2, length=length)]),
    )


def test_seed_changes_order_and_augmentation():
    first, second = take(3, seed=1), take(3, seed=2)
    assert classes(first) != classes(second)
    assert not np.array_equal(first[0]["draw"], second[0]["draw"])


def test_every_sample_of_every_epoch_has_its_own_random_numbers():
    draws = np.concatenate([batch["draw"] for batch in take(15)])
    assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("start_step", [0, 1, 7])
def test_threads_and_start_step_do_not_change_the_stream(threads, start_step):
    expected = take(10, threads=1)[start_step:]
    got = take(10 - start_step, threads=threads, start_step=start_step)
    assert_equal(got, expected)


@pytest.mark.parametrize("workers", fast_are([1], [1, 3]))
def test_worker_processes_do_not_change_the_stream(workers):
    got = take(6, workers=workers, start_step=2)
    assert_equal(got, take(8)[2:])


@pytest.mark.parametrize("process_count", [2, 4])
@pytest.mark.parametrize("start_step", [0, 3])
def test_processes_share_out_the_batches_of_one(process_count, start_step):
    whole = take(6 + start_step)[start_step:]
    divided = {"process_count": process_count, "start_step": start_step}
    parts = [take(6, process_index=index, **divided) for index in range(process_count)]
    for step, batch in enumerate(whole):
        for key, value in batch.items():
            rows = np.concatenate([part[step][key] for part in parts])
            np.testing.assert_array_equal(rows, value, err_msg=key)


@pytest.mark.slow
def test_closing_the_stream_ends_worker_processes():
    stream = batches.train_batches(Numbers(10), draw, batch_size=2, seed=0, workers=2)
    next(stream)
    assert len(multiprocessing.active_children()) == 2
    stream.close()
    assert multiprocessing.active_children() == []


def test_closing_the_stream_ends_threads():
    before = set(threading.enumerate())
    stream = batches.train_batches(Numbers(10), draw, batch_size=2, seed=0, threads=2)
    next(stream)
    started = set(threading.enumerate()) - before
    assert started
    stream.close()
    for thread in started:
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_in_transforms_reach_the_caller(workers):
    with pytest.raises(DataError, match="number-3.png is broken"):
        take(5, transform=fail_at_three, workers=workers)


@pytest.mark.parametrize("workers", fast_are([0], [0, 2]))
def test_evaluation_reads_in_order_and_masks_the_filling(workers):
    batches = evaluate(10, batch_size=4, workers=workers)
    assert classes(batches) == [*range(10), 9, 9]
    valid = np.concatenate([batch["example_valid"] for batch in batches])
    assert valid.tolist() == [True] * 10 + [False] * 2


@pytest.mark.parametrize("length", [1, 8, 9])
def test_evaluation_on_several_processes_covers_every_record_once(length):
    parts = [
        evaluate(length, batch_size=4, process_index=index, process_count=2)
        for index in range(2)
    ]
    assert len(parts[0]) == len(parts[1]) == -(-length // 4)
    seen = [
        number
        for batches in zip(*parts, strict=True)
        for batch in batches
        for number in batch["class"][batch["example_valid"]].tolist()
    ]
    assert seen == list(range(length))


def test_samples_of_different_sizes_are_named():
    samples = [
        {"image": np.zeros((4, 6, 3), np.uint8), "image_id": "a"},
        {"image": np.zeros((4, 7, 3), np.uint8), "image_id": "b"},
    ]
    message = r"'image' cannot be batched: 'a' has uint8 \[4, 6, 3\], 'b' has uint8 \["
    with pytest.raises(DataError, match=message):
        batches.stack_samples(samples)


def test_samples_of_different_dtypes_are_named():
    samples = [{"label": np.zeros(2, dtype)} for dtype in (np.uint8, np.int32)]
    with pytest.raises(DataError, match="'label' cannot be batched.*int32"):
        batches.stack_samples(samples)


def test_samples_with_different_keys_are_named():
    samples = [{"class": np.int32(1), "image_id": "a"}, {"image_id": "b"}]
    with pytest.raises(DataError, match="'a' and 'b' differ in their keys"):
        batches.stack_samples(samples)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "no records"),
        ({"batch_size": 0}, "batch_size must be positive, got 0"),
        ({"process_count": 3}, "batch_size 4 is not divisible by the 3 processes"),
        ({"process_index": 2, "process_count": 2}, "process_index .* got 2 of 2"),
        ({"seed": -1}, "seed must be in .* got -1"),
        ({"start_step": -1}, "start_step must not be negative, got -1"),
    ],
)
def test_bad_numbers_are_named(arguments, message):
    with pytest.raises(DataError, match=message):
        take(1, **arguments)


def test_evaluation_without_records_is_an_error():
    with pytest.raises(DataError, match="no records"):
        evaluate(0, batch_size=2)
