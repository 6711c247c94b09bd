"""Weights of a work directory."""

import pathlib

from hrnet_jax.workdir.opening import open_checkpoints


def saved_variables(workdir: str | pathlib.Path, step: int | str) -> dict:
    """Evaluation variables of a checkpoint, as NumPy arrays on any machine.

    Returns:
        {"params": ..., "batch_stats": ...}; averages where the run kept them.

    Raises:
        CheckpointError: if there is no such checkpoint or it is damaged.
    """
    checkpoints = open_checkpoints(workdir)
    state = checkpoints.restore_arrays(checkpoints.resolve(step))
    checkpoints.close()
    source = state.get("ema") or state
    return {name: source[name] for name in ("params", "batch_stats")}
