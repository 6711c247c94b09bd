"""The examples of a batch on the host, of all processes, without padding."""

from collections.abc import Sequence

import jax
import numpy as np

from hrnet_jax.runtime.processes import gather_names, gather_rows


def gathered(
    batch: dict,
    predictions: dict[str, jax.Array],
    keys: Sequence[str],
    outputs: Sequence[str],
) -> tuple[list[str], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What each process learns of the examples of a batch, which are N.

    Args:
        batch: global arrays with B rows; `example_valid`, and `image_id`, the names of
            this process's examples.
        predictions: of it.
        keys: wanted of the batch.
        outputs: wanted of the predictions.

    Returns:
        Names of the N examples; arrays of the batch, and of the predictions, [N, ...].
    """
    valid, ours, theirs = gather_rows(
        (
            batch["example_valid"],
            {key: batch[key] for key in keys},
            {key: predictions[key] for key in outputs},
        )
    )
    valid = valid.astype(bool)
    names = gather_names(batch["image_id"], batch["example_valid"])
    return (
        [name for name, kept in zip(names, valid, strict=True) if kept],
        {key: rows[valid] for key, rows in ours.items()},
        {key: rows[valid] for key, rows in theirs.items()},
    )
