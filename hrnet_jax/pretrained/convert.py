"""PyTorch state dicts to our variables and back, strict and total."""

from collections.abc import Mapping

import numpy as np
from flax import traverse_util

from hrnet_jax.errors import WeightsError
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.models.model import Model
from hrnet_jax.pretrained.fit import check_fit, check_values, listed
from hrnet_jax.pretrained.names import conventions, find_scheme
from hrnet_jax.pretrained.recognition import recognize, scheme_of_model, scheme_of_names
from hrnet_jax.pretrained.scheme import BODY_KIND, Scheme
from hrnet_jax.pretrained.wrappers import COUNTER, unwrap


def from_torch(
    state_dict: Mapping[str, np.ndarray],
    model: Model,
    *,
    convention: str | None = None,
    inplace_abn: bool = False,
    entry: str | None = None,
) -> dict:
    """Converts a PyTorch state dict into the variables of `model`.

    Every tensor of the state dict is used once and every leaf of the model is
    filled, or this fails; models without a head (`features/<variant>`) read the body
    of any model alone. Wrappers are undone: a dictionary around the weights, a prefix
    of the names, loss buffers and batch counters.

    Args:
        state_dict: names to arrays (PyTorch layout).
        model: from `create_model`.
        convention: whose names these are (`official`, `mmseg`, ...); recognised
            if not given.
        inplace_abn: the file was trained with InPlaceABN, whose effective scale
            is |weight| + 1e-5 (all downloads of the master branch of
            HRNet-Semantic-Segmentation and files ending in `_torch04`).
        entry: which of several networks in the state dict; see `unwrap`.

    Returns:
        {"params": ..., "batch_stats": ...} of float32 NumPy arrays.

    Raises:
        WeightsError: listing missing and extra tensors and shapes that differ,
            by their names in the state dict; naming a tensor with NaN, an infinite
            number or a negative variance.
    """
    tensors = unwrap(state_dict, entry=entry)
    if convention is None:
        scheme = scheme_of_model(tensors, kind_of(model))
    else:
        scheme = _scheme(model, convention)
    if scheme.kind == BODY_KIND:
        tensors = {
            name: value
            for name, value in tensors.items()
            if scheme.from_torch(name) is not None
        }
    theirs = _their_names(model, scheme)
    expected = {
        theirs[name]: their_shape(_short(name), shape, scheme)
        for name, shape in _leaf_shapes(model).items()
    }
    try:
        check_fit(tensors, expected)
    except WeightsError as error:
        raise WeightsError(f"{error}{_hint(tensors, model)}") from None
    check_values(tensors)
    leaves = {
        name: _leaf(name, tensors[their_name], scheme, inplace_abn)
        for name, their_name in theirs.items()
    }
    return traverse_util.unflatten_dict(leaves, sep="/")


def to_torch(
    variables: Mapping, model: Model, *, convention: str = "official"
) -> dict[str, np.ndarray]:
    """Converts variables into a state dict, the inverse of `from_torch`.

    Batch counters, which variables do not keep, are written as zero.

    Raises:
        WeightsError: if the variables are not those of `model`, or the code base
            has no such model.
    """
    scheme = _scheme(model, convention)
    flat = traverse_util.flatten_dict(
        {name: variables[name] for name in ("params", "batch_stats")}, sep="/"
    )
    check_fit(flat, _leaf_shapes(model))
    state_dict = {}
    for name, theirs in _their_names(model, scheme).items():
        value = _to_torch_layout(np.asarray(flat[name]))
        for layout in scheme.layouts_of(_short(name)):
            value = np.ascontiguousarray(layout.write(value))
        state_dict[theirs] = value
        if theirs.endswith(".running_var"):
            counter = theirs.removesuffix("running_var") + COUNTER
            state_dict[counter] = np.zeros((), np.int64)
    return state_dict


def convert_names(
    state_dict: Mapping[str, np.ndarray], *, inplace_abn: bool = False
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Our names and layout for every weight that is one of an HRNet.

    Works without a model, so that a classifier's body can start a segmentation
    model.

    Returns:
        Arrays by our names, `params/...` or `batch_stats/...`, and the names that
        no HRNet has (the other heads of a detector).

    Raises:
        WeightsError: if the names belong to no HRNet, or to two; naming a weight of
            an HRNet with NaN, an infinite number or a negative variance.
    """
    tensors = unwrap(state_dict)
    scheme = scheme_of_names(tensors)
    check_values({k: v for k, v in tensors.items() if scheme.from_torch(k) is not None})
    arrays, unknown = {}, []
    for theirs, value in tensors.items():
        short = scheme.from_torch(theirs)
        if short is None:
            unknown.append(theirs)
            continue
        is_statistic = short.rsplit("/", 1)[-1] in ("mean", "var")
        name = f"{'batch_stats' if is_statistic else 'params'}/{short}"
        try:
            arrays[name] = _leaf(name, value, scheme, inplace_abn)
        except ValueError as error:
            raise WeightsError(
                f"{theirs}: the shape {tuple(value.shape)} is none that {scheme} has: "
                f"{error}"
            ) from None
    return arrays, unknown


def refuse_unknown(unknown: list[str]) -> None:
    """Refuses names that `convert_names` could not place.

    Raises:
        WeightsError: listing them.
    """
    if unknown:
        raise WeightsError(
            "these are not names of an official HRNet: " + listed(unknown)
        )


def _leaf_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's leaves by our names, in the order of the network."""
    shapes = traverse_util.flatten_dict(variable_shapes(model), sep="/")
    return {name: tuple(leaf.shape) for name, leaf in shapes.items()}


def kind_of(model: Model | type[Model]) -> str:
    """Kind of a model; one of another package is read as a body."""
    return getattr(model, "output_kind", BODY_KIND)


def _their_names(model: Model, scheme: Scheme) -> dict[str, str]:
    """Names of a model's leaves, ours to theirs.

    Raises:
        WeightsError: listing leaves that the code base has no name for.
    """
    names = {name: scheme.to_torch(_short(name)) for name in _leaf_shapes(model)}
    placed = {name: theirs for name, theirs in names.items() if theirs is not None}
    if len(placed) < len(names):
        homeless = names.keys() - placed.keys()
        raise WeightsError(
            f"{len(homeless)} of {len(names)} tensors of the model have no place among "
            f"the names of {scheme}: {listed(homeless)}; convert_names and transfer of "
            "hrnet_jax.pretrained take what fits"
        )
    return placed


def _short(name: str) -> str:
    """Our name without its collection."""
    return name.split("/", 1)[1]


def _scheme(model: Model, convention: str) -> Scheme:
    kind = kind_of(model)
    scheme = scheme_of(kind, convention)
    for option, value in scheme.lacks:
        if getattr(model, option) == value:
            able = [
                name
                for name in conventions(kind)
                if (option, value) not in scheme_of(kind, name).lacks
            ]
            raise WeightsError(
                f"{convention!r} has no layout for a {kind} model with "
                f"{option}={value}; expected one of {', '.join(able)}"
            )
    return scheme


def scheme_of(kind: str, convention: str) -> Scheme:
    """The names that a code base has for a kind of model, its `output_kind`.

    Raises:
        WeightsError: if it has no such model.
    """
    scheme = find_scheme(kind, convention)
    if scheme is None:
        raise WeightsError(
            f"{convention!r} has no names for a {kind} model; expected one of "
            f"{', '.join(conventions(kind)) or 'none'}"
        )
    return scheme


def _hint(tensors: Mapping[str, np.ndarray], model: Model) -> str:
    """Hint at the model that the weights seem to belong to, if another."""
    try:
        found = recognize(tensors)
    except WeightsError:
        return ""
    options = ", ".join(f"{key}={value!r}" for key, value in found.options.items())
    variant = getattr(model, "variant", None)
    same = found.scheme.kind == kind_of(model) and found.variant == variant
    differ = any(getattr(model, k, v) != v for k, v in found.options.items())
    return "" if same and not differ else f" (they look like {found.model}, {options})"


def _leaf(
    name: str, value: np.ndarray, scheme: Scheme, inplace_abn: bool
) -> np.ndarray:
    """One tensor in our layout, float32.

    Raises:
        ValueError: for a shape that the code base cannot give it.
    """
    value = np.asarray(value, np.float32)
    for layout in reversed(scheme.layouts_of(_short(name))):
        value = layout.read(value)
    value = _from_torch_layout(value)
    if inplace_abn and name.endswith("/scale"):
        value = np.abs(value) + np.float32(1e-5)
    return value


def their_shape(name: str, shape: tuple[int, ...], scheme: Scheme) -> tuple[int, ...]:
    """Shape of a leaf of ours, by its name without collection, in a code base."""
    found = _torch_shape(shape)
    for layout in scheme.layouts_of(name):
        found = layout.their_shape(found)
    return found


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a leaf of ours in PyTorch's layout."""
    if len(shape) == 4:
        return tuple(shape[axis] for axis in (3, 2, 0, 1))
    return tuple(reversed(shape))


def _from_torch_layout(value: np.ndarray) -> np.ndarray:
    """OIHW to HWIO, (out, in) to (in, out); vectors stay."""
    if value.ndim == 4:
        return np.ascontiguousarray(value.transpose(2, 3, 1, 0))
    return np.asarray(value.T, order="C")  # single numbers keep their shape


def _to_torch_layout(value: np.ndarray) -> np.ndarray:
    if value.ndim == 4:
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    return np.asarray(value.T, order="C")  # single numbers keep their shape
