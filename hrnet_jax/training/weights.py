"""Initial weights of a run: drawn, official, or from another run."""

import re
from collections.abc import Collection, Sequence

import numpy as np
from flax import traverse_util

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import WeightsError
from hrnet_jax.experiment.sections import ModelOptions
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.model import Model
from hrnet_jax.pretrained import HEAD_PATTERNS
from hrnet_jax.pretrained.convert import convert_names, refuse_unknown
from hrnet_jax.pretrained.files import read_weights_file
from hrnet_jax.pretrained.fit import Transfer, check_fit, check_values, transfer
from hrnet_jax.pretrained.inplace_abn import find_record, uses_inplace_abn
from hrnet_jax.pretrained.recognition import scheme_of_names
from hrnet_jax.pretrained.sources import Located, locate
from hrnet_jax.pretrained.wrappers import unwrap
from hrnet_jax.storage import paths
from hrnet_jax.workdir.variables import saved_info, saved_variables

# Paths of the last exchange to lower resolutions.
_LOWER = re.compile(r"(?P<start>.*/stage4/module\d+/exchange/)from\d_to[123]/")

# What the outputs of a model mean.
_NAMES = ("class_names", "point_names", "image_class_names", "box_class_names")


def first_variables(
    model: Model, options: ModelOptions, seed: int, info: DatasetInfo | None = None
) -> tuple[dict, Transfer]:
    """Draws initial variables and replaces them by the weights of `init_from`.

    Tensors that match a pattern of `init_skip` are left out on both sides; all
    others must match one to one, unless `init_partial` takes those that do. The
    patterns of heads, `HEAD_PATTERNS`, leave nothing out where the source is a run
    with the same head for the same classes or points.

    Args:
        model: of the run.
        options: of the run.
        seed: of the drawn variables.
        info: what the outputs of the model mean; None if that is not known.

    Raises:
        WeightsError: if the source cannot be read or does not fit.
    """
    drawn = initial_variables(model, seed, options.initializer)
    if not options.init_from:
        return drawn, Transfer((), tuple(flat_variables(drawn)))
    try:
        source = locate(options.init_from)
        arrays, unknown = read_weights(options, source)
        skip = options.init_skip
        if info is not None and _has_the_same_head(source, info, drawn, arrays):
            skip = tuple(pattern for pattern in skip if pattern not in HEAD_PATTERNS)
        if options.init_partial:
            return merge_partly(drawn, arrays, skip, unknown)
        refuse_unknown(unknown)
        return merge(drawn, arrays, skip)
    except WeightsError as error:
        raise WeightsError(f"model.init_from={options.init_from}: {error}") from error


def read_weights(
    options: ModelOptions, source: Located | None = None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays by our names from a weights file or a work directory.

    Args:
        options: of the run.
        source: of the weights, where it was located before.

    Returns:
        {"params/...": array}, and the names that belong to no HRNet.

    Raises:
        WeightsError: if the file cannot be read, or a tensor holds NaN, an infinite
            number or a negative variance.
        CheckpointError: if the work directory cannot be read.
    """
    source = source or locate(options.init_from)
    with source.naming():
        return _read(options, source)


def _read(
    options: ModelOptions, source: Located
) -> tuple[dict[str, np.ndarray], list[str]]:
    path = source.path
    if path.is_dir():
        arrays = flat_variables(saved_variables(path, "best"))
        check_values(arrays)
        return arrays, []
    stated = options.init_inplace_abn
    with paths.local_file(path) as file:
        tensors = read_weights_file(file, keep_counters=True)
        record = find_record(file, tensors, source.record, inplace_abn=stated)
    scheme = scheme_of_names(unwrap(tensors))
    inplace_abn = uses_inplace_abn(tensors, scheme, record, stated)
    return convert_names(tensors, inplace_abn=inplace_abn)


def _has_the_same_head(
    source: Located,
    info: DatasetInfo,
    drawn: dict,
    arrays: dict[str, np.ndarray],
) -> bool:
    """Whether the source is a run with the head of this one, for the same outputs."""
    if not source.path.is_dir():
        return False
    trained = saved_info(source.path, "best")
    names, others = output_names(info), output_names(trained)
    head, other_head = (
        {name: np.shape(leaf) for name, leaf in tensors.items() if _is_of_head(name)}
        for tensors in (flat_variables(drawn), arrays)
    )
    return any(names) and names == others and head == other_head


def output_names(info: DatasetInfo) -> list[tuple[str, ...]]:
    """What the outputs of a model mean: names of classes or points, of each kind."""
    return [getattr(info, key) for key in _NAMES]


def _is_of_head(name: str) -> bool:
    return not _without({name: None}, HEAD_PATTERNS)


def flat_variables(variables: dict) -> dict[str, np.ndarray]:
    """{"params": {"stem": ...}} -> {"params/stem/...": array}."""
    return traverse_util.flatten_dict(variables, sep="/")


def merge(
    drawn: dict, arrays: dict[str, np.ndarray], skip: tuple[str, ...]
) -> tuple[dict, Transfer]:
    """Puts arrays over drawn variables, all that are not skipped or none.

    Networks of one resolution (V1, V1h; pose) leave out what the last exchange of
    others computes of the lower ones.
    """
    flat = flat_variables(drawn)
    wanted = _without(flat, skip)
    offered = _without(arrays, skip)
    lower = _of_lower_resolutions(offered, flat)
    offered = {name: leaf for name, leaf in offered.items() if name not in lower}
    check_fit(offered, {name: leaf.shape for name, leaf in wanted.items()})
    new = tuple(name for name in flat if name not in wanted)
    dropped = {
        name: lower.get(name, "skipped") for name in arrays if name not in offered
    }
    merged = {name: offered.get(name, leaf) for name, leaf in flat.items()}
    return _nested(merged), Transfer(tuple(wanted), new, dropped)


def _of_lower_resolutions(
    offered: Collection[str], wanted: Collection[str]
) -> dict[str, str]:
    """Names of an exchange that the model has for the highest resolution alone.

    Returns:
        Name -> why it is not used.
    """
    found = {}
    for name in offered:
        exchange = _LOWER.match(name)
        if exchange is None or name in wanted:
            continue
        if any(other.startswith(exchange["start"]) for other in wanted):
            found[name] = "the model computes the highest resolution alone"
    return found


def merge_partly(
    drawn: dict,
    arrays: dict[str, np.ndarray],
    skip: tuple[str, ...] = (),
    unknown: Sequence[str] = (),
) -> tuple[dict, Transfer]:
    """Puts those arrays over drawn variables that fit and are not skipped."""
    merged, moved = transfer(flat_variables(drawn), _without(arrays, skip), unknown)
    return _nested(merged), moved


def _without(arrays: dict, patterns: tuple[str, ...]) -> dict:
    """Arrays whose name, without its collection, no pattern finds."""
    return {
        name: leaf
        for name, leaf in arrays.items()
        if not any(re.search(pattern, name.split("/", 1)[1]) for pattern in patterns)
    }


def _nested(flat: dict) -> dict:
    return traverse_util.unflatten_dict(flat, sep="/")
