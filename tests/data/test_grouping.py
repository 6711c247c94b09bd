"""Batches of one group each: training covers all, evaluation counts each once."""

import itertools

import numpy as np
import pytest

from hrnet_jax.data.stream.batches import eval_batches, train_batches
from hrnet_jax.data.stream.grouping import eval_order, steps_per_epoch, train_order
from hrnet_jax.errors import DataError

GROUPS = np.array([0, 1, 0, 0, 1, 0, 0, 2, 0])


class Numbers:
    """Records that are their numbers, in shapes that the group decides."""

    def __len__(self):
        return len(GROUPS)

    def __getitem__(self, index):
        image = np.full(1 + GROUPS[index], index)
        return {"image": image, "image_id": str(index)}


def same(sample, rng=None):
    return sample if rng is None else sample | {"drawn": rng.random()}


def test_an_epoch_has_every_record_and_no_mixed_batch():
    # Six of the first group, two and one: 2 + 1 + 1 batches of four.
    assert steps_per_epoch(GROUPS, 4) == 4
    seen = []
    for epoch in range(3):
        order = train_order(GROUPS, 4, 7, epoch)
        assert order.shape == (4, 4)
        assert set(order.ravel()) == set(range(9))
        assert all(len(set(GROUPS[batch])) == 1 for batch in order)
        # Filled up with the first of the group, so no record comes more often than
        # the batches of a small group need.
        assert np.bincount(order.ravel())[GROUPS == 0].tolist().count(2) == 2
        np.testing.assert_array_equal(order, train_order(GROUPS, 4, 7, epoch))
        seen.append(order.tolist())
    assert seen[0] != seen[1] != seen[2]


def test_evaluation_counts_each_once_group_after_group():
    order, valid = eval_order(GROUPS, 4)
    assert order.tolist() == [0, 2, 3, 5, 6, 8, 8, 8, 1, 4, 4, 4, 7, 7, 7, 7]
    assert sorted(order[valid]) == list(range(9)) and valid.sum() == 9


def test_training_goes_on_where_it_stopped():
    options = {"batch_size": 4, "seed": 3, "threads": 2, "groups": GROUPS}
    whole = train_batches(Numbers(), same, **options)
    first = [next(whole) for _ in range(10)]
    whole.close()
    later = train_batches(Numbers(), same, start_step=6, **options)
    for batch in first[6:]:
        again = next(later)
        np.testing.assert_array_equal(batch["image"], again["image"])
        np.testing.assert_array_equal(batch["drawn"], again["drawn"])
    later.close()
    wanted = [train_order(GROUPS, 4, 3, epoch) for epoch in range(3)]
    for batch, order in zip(first, np.concatenate(wanted), strict=False):
        assert batch["image"][:, 0].tolist() == order.tolist()


@pytest.mark.slow
def test_workers_make_the_batches_of_threads():
    options = {"batch_size": 4, "seed": 3, "groups": GROUPS}
    with_threads = train_batches(Numbers(), same, threads=1, **options)
    with_workers = train_batches(Numbers(), same, workers=2, **options)
    for _ in range(6):
        one, other = next(with_threads), next(with_workers)
        np.testing.assert_array_equal(one["image"], other["image"])
        np.testing.assert_array_equal(one["drawn"], other["drawn"])
    with_threads.close()
    with_workers.close()


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_batches_of_one(count):
    def all_of(batches):
        return [batch["image_id"] for batch in batches]

    def trained(**process):
        stream = train_batches(
            Numbers(), same, batch_size=4, seed=1, threads=1, groups=GROUPS, **process
        )
        found = [next(stream)["image_id"] for _ in range(6)]
        stream.close()
        return found

    def evaluated(**process):
        return all_of(
            eval_batches(
                Numbers(), same, batch_size=4, threads=1, groups=GROUPS, **process
            )
        )

    for read in (trained, evaluated):
        parts = [read(process_index=p, process_count=count) for p in range(count)]
        joined = [[*itertools.chain(*each)] for each in zip(*parts, strict=True)]
        assert joined == read()


def test_evaluated_samples_know_their_record():
    batches = list(
        eval_batches(Numbers(), same, batch_size=4, threads=1, groups=GROUPS)
    )
    assert len(batches) == 4
    for batch in batches:
        assert batch["record"].tolist() == [int(name) for name in batch["image_id"]]
    assert sum(batch["example_valid"].sum() for batch in batches) == 9


def test_as_many_groups_as_records():
    for read in (
        lambda: train_batches(Numbers(), same, batch_size=1, seed=0, groups=[0]),
        lambda: eval_batches(Numbers(), same, batch_size=1, groups=[0]),
    ):
        with pytest.raises(DataError, match="1 groups for 9 records"):
            read()
