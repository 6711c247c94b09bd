"""Base of sources that read all annotations before the first image."""

import functools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from hrnet_jax.data.files.findings import Findings


class HasSplits(Protocol):
    """What a source has read: items of each split, in record order, and more."""

    @property
    def splits(self) -> Mapping[str, Sequence[Any]]: ...


Read = TypeVar("Read", bound=HasSplits)


class AnnotatedSource(Generic[Read]):
    """Part of a `writing.Source`: options, annotations and splits.

    A subclass gives `read`, and `checked` where something may be wrong.

    Attributes:
        needs_source: it reads a folder.
        source_decides: whether another folder means another data set.
        published: whether the files are taken as they are, oddities included.
        eval_splits: the splits to evaluate on by default, best first.
        source: the folder.
        findings: what was left out of the files or derived.
    """

    needs_source: ClassVar[bool] = True
    source_decides: ClassVar[bool] = True
    published: ClassVar[bool] = False
    eval_splits: ClassVar[tuple[str, ...]] = ("val", "test")

    def __init__(self, source: Path, options: Any) -> None:
        self.source = source
        self.options = options
        self.findings = Findings()

    def read(self) -> Read:
        """Reads all annotations; called once."""
        raise NotImplementedError

    def checked(self, found: Read) -> Read:
        """What was read, if nothing is wrong with it.

        Raises:
            DataError: naming the file and entry at fault.
        """
        return found

    @functools.cached_property
    def contents(self) -> Read:
        """The result of `read`, checked."""
        return self.checked(self.read())

    def splits(self) -> Mapping[str, Sequence[Any]]:
        """The items of each split."""
        return self.contents.splits

    def default_splits(
        self, to_train: Sequence[str], to_evaluate: Collection[str]
    ) -> dict[str, str]:
        """Which splits a run trains on, evaluates and tests unless it is told others.

        Args:
            to_train: splits with something to learn from, `train` or else the first.
            to_evaluate: splits and subsets with something to compare with.
        """
        train = "train" if "train" in to_train or not to_train else to_train[0]
        best = next((name for name in self.eval_splits if name in to_evaluate), train)
        test = {"test": "test"} if "test" in to_evaluate else {}
        return {"train": train, "eval": best} | test
