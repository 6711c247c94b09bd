"""The first weights of a run: drawn, official, or from another run."""

import dataclasses
import pathlib
import re

import numpy as np
from flax import traverse_util

from hrnet_jax.errors import WeightsError
from hrnet_jax.models.hrnet import HRNet
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.pretrained.convert import convert_names, fit
from hrnet_jax.pretrained.files import read_torch_file
from hrnet_jax.training.checkpoints import Checkpoints
from hrnet_jax.training.config import ModelOptions


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What became of `init_from`.

    Attributes:
        tensors: tensors taken from the source.
        total: tensors of the model.
        skipped: names of the model's tensors that kept their initial values.
    """

    tensors: int
    total: int
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.tensors} of {self.total} tensors loaded"
        if self.skipped:
            layers = sorted({name.split("/")[1] for name in self.skipped})
            text += f", {len(self.skipped)} left initial ({', '.join(layers)})"
        return text


def first_variables(
    model: HRNet, options: ModelOptions, seed: int
) -> tuple[dict, Loaded]:
    """Draws initial variables and puts the weights of `init_from` over them.

    Tensors that match a pattern of `init_skip` are left out on both sides; all
    others must match one to one.

    Raises:
        WeightsError: if the source cannot be read or does not fit.
    """
    drawn = initial_variables(model, seed, options.initializer)
    if not options.init_from:
        total = len(traverse_util.flatten_dict(drawn))
        return drawn, Loaded(0, total)
    try:
        return merge(drawn, read_weights(options), options.init_skip)
    except WeightsError as error:
        raise WeightsError(f"model.init_from={options.init_from}: {error}") from error


def read_weights(options: ModelOptions) -> dict[str, np.ndarray]:
    """Arrays by our names (`params/...`) from a `.pth` or a work directory."""
    path = pathlib.Path(options.init_from)
    if path.is_dir():
        return flat_variables(saved_variables(path, "best"))
    return convert_names(read_torch_file(path), inplace_abn=options.init_inplace_abn)


def saved_variables(workdir: str | pathlib.Path, step: int | str) -> dict:
    """Evaluation variables of a checkpoint, as NumPy arrays on any machine.

    Returns:
        {"params": ..., "batch_stats": ...}; averages where the run kept them.

    Raises:
        CheckpointError: if there is no such checkpoint or it is damaged.
    """
    checkpoints = Checkpoints(workdir)
    state = checkpoints.restore_arrays(checkpoints.resolve(step))
    checkpoints.close()
    source = state.get("ema") or state
    return {name: source[name] for name in ("params", "batch_stats")}


def flat_variables(variables: dict) -> dict[str, np.ndarray]:
    """{"params": {"stem": ...}} -> {"params/stem/...": array}."""
    return traverse_util.flatten_dict(variables, sep="/")


def merge(
    drawn: dict, arrays: dict[str, np.ndarray], skip: tuple[str, ...]
) -> tuple[dict, Loaded]:
    """Puts arrays over drawn variables; see `first_variables`."""
    flat = flat_variables(drawn)

    def skipped(name: str) -> bool:
        return any(re.search(pattern, name.split("/", 1)[1]) for pattern in skip)

    wanted = {name: leaf.shape for name, leaf in flat.items() if not skipped(name)}
    offered = {name: leaf for name, leaf in arrays.items() if not skipped(name)}
    flat |= fit(offered, wanted)
    left = tuple(name for name in flat if name not in wanted)
    loaded = Loaded(len(wanted), len(flat), left)
    return traverse_util.unflatten_dict(flat, sep="/"), loaded
