"""What a task offers in addition whose metrics compare with all of a split at once."""

from typing import ClassVar, Protocol, TypeGuard

from hrnet_jax.data.truth import Truth
from hrnet_jax.tasks.protocol import Evaluator, Trains


class ReadsTruth(Trains, Protocol):
    """A task whose evaluator compares with all that is annotated in a split.

    Also where no example shows it: somebody in an image in which nobody was found.

    Attributes:
        reads_truth: true.
    """

    reads_truth: ClassVar[bool]

    def evaluator(
        self, per_example: bool = False, truth: Truth | None = None
    ) -> Evaluator:
        """A fresh evaluator.

        Args:
            per_example: see `Trains.evaluator`.
            truth: of the split that it will be shown. Where an example is missing or
                came twice, `compute` is to raise `DataError`.
        """
        ...


def reads_truth(task: Trains) -> TypeGuard[ReadsTruth]:
    """Whether a task's evaluator compares with all that is annotated in a split."""
    return getattr(task, "reads_truth", False)
