"""Host batches become global arrays, ahead of time and with their dtypes."""

import gc
import threading
import time

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from hrnet_jax import runtime
from hrnet_jax.data.stream import batches, feeding
from hrnet_jax.errors import ConfigError, DataError


def make_batch(size: int, seed: int = 0, height: int = 16) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (size, height, 8, 3), np.uint8),
        "label": rng.integers(0, 256, (size, height, 8), np.uint8),
        "boxes": rng.random((size, 5, 4)).astype(np.float32),
        "example_valid": np.ones(size, np.bool_),
        "image_id": [f"image-{index}" for index in range(size)],
    }


class Images:
    """Records large enough to travel through shared memory."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict:
        image = np.random.default_rng(index).integers(0, 256, (64, 64, 3), np.uint8)
        return {"image": image, "image_id": str(index)}


def same(sample: dict) -> dict:
    return sample


def feed_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("feed")]


@pytest.mark.parametrize(("data", "space"), [(8, 1), (4, 2), (2, 4), (1, 1)])
def test_arrays_are_sharded_and_keep_values_and_dtypes(data, space):
    mesh = runtime.make_mesh(data, space)
    batches = [make_batch(8, seed) for seed in range(3)]
    fed = list(feeding.feed(batches, mesh, map_keys=("label",)))
    assert len(fed) == 3
    for batch, arrays in zip(batches, fed, strict=True):
        assert arrays["image_id"] == batch["image_id"]
        for key in ("image", "label", "boxes", "example_valid"):
            assert isinstance(arrays[key], jax.Array)
            assert arrays[key].dtype == batch[key].dtype
            np.testing.assert_array_equal(arrays[key], batch[key])
    rows = ("space",) if space > 1 else ()
    assert fed[0]["image"].sharding.spec == PartitionSpec("data", *rows)
    assert fed[0]["label"].sharding.spec == PartitionSpec("data", *rows)
    assert fed[0]["boxes"].sharding.spec == PartitionSpec("data")
    shard = fed[0]["image"].addressable_shards[0].data
    assert shard.shape == (8 // data, 16 // space, 8, 3)


def test_batches_are_made_ready_ahead_of_their_use():
    made = []

    def batches():
        for index in range(10):
            made.append(index)
            yield make_batch(8, index)

    fed = feeding.feed(batches(), runtime.make_mesh(), depth=2)
    next(fed)
    deadline = time.monotonic() + 10
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == [0, 1, 2]
    fed.close()


def test_exceptions_reach_the_caller_after_the_batches_before_them():
    def batches():
        yield make_batch(8)
        raise DataError("image-8.png is broken")

    fed = feeding.feed(batches(), runtime.make_mesh())
    next(fed)
    with pytest.raises(DataError, match="image-8.png is broken"):
        next(fed)
    assert feed_threads() == []


def test_closing_ends_the_thread_and_closes_the_source():
    closed = []

    def batches():
        try:
            while True:
                yield make_batch(8)
        finally:
            closed.append(True)

    source = batches()
    fed = feeding.feed(source, runtime.make_mesh())
    next(fed)
    assert len(feed_threads()) == 1
    fed.close()
    assert feed_threads() == []
    assert closed == [True]


@pytest.mark.slow
def test_arrays_outlive_the_shared_memory_of_worker_processes():
    stream = batches.eval_batches(Images(), same, batch_size=4, workers=1)
    fed = list(feeding.feed(stream, runtime.make_mesh(4)))
    gc.collect()
    records = Images()
    for batch in fed:
        for image, name in zip(batch["image"], batch["image_id"], strict=True):
            np.testing.assert_array_equal(image, records[int(name)]["image"])


def test_a_batch_that_does_not_divide_is_named():
    with pytest.raises(ConfigError, match="batch_size 6 is not divisible by the 8 dev"):
        next(feeding.feed([make_batch(6)], runtime.make_mesh()))


def test_a_height_that_does_not_divide_is_named():
    mesh = runtime.make_mesh(2, 4)
    with pytest.raises(ConfigError, match="height of 'image', 18 .* mesh.space=4"):
        next(feeding.feed([make_batch(4, height=18)], mesh))
