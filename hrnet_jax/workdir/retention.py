"""Which checkpoints of a run are kept: the newest, and the best of those evaluated."""

import dataclasses
import datetime
import math
from collections.abc import Mapping

from orbax.checkpoint import checkpoint_managers

from hrnet_jax.experiment.sections import CheckpointOptions


@dataclasses.dataclass(frozen=True)
class _Checkpoint:
    """What a policy asks of a checkpoint; `time` is that of nobody's policy here."""

    step: int
    metrics: dict[str, float] | None
    time: datetime.datetime = datetime.datetime.min


def worth(metrics: dict[str, float], ranking: tuple[str, str] | None) -> float:
    """The higher, the better; what is not a number is worst.

    Args:
        metrics: of a checkpoint.
        ranking: (name, "max" or "min") of the one that ranks them.

    Raises:
        ValueError: if nothing says which one does.
    """
    if ranking is None:
        raise ValueError("nothing says which metric ranks the checkpoints")
    name, direction = ranking
    value = metrics[name]
    if math.isnan(value):
        return -math.inf
    return -value if direction == "min" else value


def policy(
    options: CheckpointOptions | None, ranking: tuple[str, str] | None
) -> checkpoint_managers.PreservationPolicy:
    """What Orbax asks after each save.

    `best_fn` with `max_to_keep` would delete the newest steps and break resuming; a
    union of two policies keeps both.

    Args:
        options: how many of each are kept; None keeps all.
        ranking: see `worth`.
    """
    if options is None:
        return checkpoint_managers.LatestN()
    policies: list[checkpoint_managers.PreservationPolicy] = [
        checkpoint_managers.LatestN(options.keep_latest)
    ]
    if options.keep_best:
        policies.append(
            checkpoint_managers.BestN(
                get_metric_fn=lambda metrics: worth(metrics, ranking),
                n=options.keep_best,
                keep_checkpoints_without_metrics=False,
            )
        )
    return checkpoint_managers.AnyPreservationPolicy(policies)


def surplus(
    kept_by: checkpoint_managers.PreservationPolicy,
    found: Mapping[int, dict[str, float]],
) -> list[int]:
    """Steps that a policy does not keep.

    Args:
        kept_by: the policy.
        found: step -> its metrics, empty where it was not evaluated.
    """
    checkpoints = [_Checkpoint(step, found[step] or None) for step in sorted(found)]
    kept = kept_by.should_preserve(
        checkpoints, context=checkpoint_managers.PreservationContext()
    )
    return [
        one.step for one, is_kept in zip(checkpoints, kept, strict=True) if not is_kept
    ]
