"""Everything that a training run carries from step to step."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
    """State of a run; the next update is number `step` (from 0).

    Attributes:
        step: int32 scalar, number of updates done.
        params: trainable parameters.
        batch_stats: running statistics of the norms.
        opt_state: state of the optimizer.
        ema: {"params", "batch_stats"} averages, or an empty dict.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any

    @property
    def variables(self) -> dict:
        """Variables that training applies the model with."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def eval_variables(self) -> dict:
        """Variables that evaluation uses: the averages where kept."""
        return dict(self.ema) or self.variables


def create_state(
    variables: dict,
    optimizer: optax.GradientTransformation | None = None,
    *,
    ema: bool = False,
) -> TrainState:
    """State before the first update; without an optimizer, for inference."""
    kept = {"params": variables["params"], "batch_stats": variables["batch_stats"]}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        **kept,
        opt_state=optimizer.init(kept["params"]) if optimizer else {},
        # Copied: the train step donates its input, which must not alias.
        ema=jax.tree.map(lambda array: array.copy(), kept) if ema else {},
    )
