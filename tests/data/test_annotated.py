"""Which splits a run takes unless it is told others."""

import pathlib

import pytest

from hrnet_jax.data.annotated import AnnotatedSource


@pytest.mark.parametrize(
    "to_train, to_evaluate, expected",
    [
        (["a", "train", "val"], ["test", "val"], ("train", "val", "test")),
        (["b", "a"], ["test"], ("b", "test", "test")),
        (["train", "full"], ["full", "train"], ("train", "train", None)),
        ([], [], ("train", "train", None)),
    ],
)
def test_splits_by_default(to_train, to_evaluate, expected):
    source = AnnotatedSource(pathlib.Path("folder"), None)
    chosen = source.default_splits(to_train, to_evaluate)
    assert tuple(map(chosen.get, ("train", "eval", "test"))) == expected


def test_the_best_split_to_evaluate_is_that_of_the_set():
    class Faces(AnnotatedSource):
        eval_splits = ("full", "val")

    source = Faces(pathlib.Path("folder"), None)
    assert source.default_splits(["train"], ["val", "full"])["eval"] == "full"
