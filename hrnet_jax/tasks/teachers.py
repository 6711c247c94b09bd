"""What tasks offer that learn from the outputs of a trained network as well."""

from typing import Protocol, Self, TypeGuard, runtime_checkable

from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.tasks.protocol import Trains

# Under this name `Trains.loss` finds the teacher's variables beside its own.
TEACHER = "teacher"


@runtime_checkable
class NamesTeacher(Protocol):
    """Options of a task's `Loss` that can name a teacher.

    Attributes:
        teacher: where its weights are, as for `model.init_from`; empty for none.
    """

    teacher: str


class LearnsFromTeacher(Trains, Protocol):
    """A task whose loss can read the outputs of a teacher.

    The teacher's variables are given to each step as they are: they are neither
    trained nor part of a checkpoint.
    """

    def with_teacher(self, model: Model, normalization: Normalization) -> Self:
        """The task that learns from this network.

        Args:
            model: the teacher, applied to the images of each batch.
            normalization: of its images.
        """
        ...


def learns_from_teacher(task: Trains) -> TypeGuard[LearnsFromTeacher]:
    """Whether a task can learn from a teacher."""
    return hasattr(task, "with_teacher")
