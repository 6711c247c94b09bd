"""Random state dicts of every model in every naming convention."""

import functools
import math

import numpy as np
from flax import traverse_util

from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.pretrained.convert import their_shape
from hrnet_jax.pretrained.names import SCHEMES, conventions
from hrnet_jax.pretrained.scheme import BODY_KIND
from hrnet_jax.registry import create_model, model_class, model_names

# Code bases whose heads lack the biases in front of norms.
WITHOUT_BIAS = {("mmseg", "segmentation"), ("mmseg", "segmentation_ocr")}
WITHOUT_BIAS |= {("mmpretrain", "classification"), ("mit", "segmentation")}

# Without bodies, which have no names of their own: see `test_bodies`. Of detectors, whose
# heads are large, those on the smallest network: the names of others are no different.
NAMED = [
    name
    for name in model_names()
    if not name.startswith(BODY_KIND)
    and (not name.startswith("detection/") or name.endswith("_w18_small_v1"))
]
CASES = [
    (name, convention)
    for name in NAMED
    for convention in conventions(model_class(name).output_kind)
]


@functools.lru_cache(maxsize=4)
def make_model(name: str, convention: str):
    """A model as a code base would publish it."""
    kind = model_class(name).output_kind
    options = {"head_bias": False} if (convention, kind) in WITHOUT_BIAS else {}
    if convention == "mit":
        width = VARIANTS[name.split("/")[1]].width
        options |= {"head_width": 15 * width // 4, "head_kernel": 3}
    return create_model(name, **options)


@functools.cache
def _numbers() -> np.ndarray:
    """Random float32 bits, all finite, to cut tensors from."""
    return np.random.default_rng(0).standard_normal(14_000_000, np.float32)


def random_state_dict(
    model, convention: str, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Random tensors for all names and shapes of a model, with batch counters.

    Variances are not negative; what no network reads, boxes and masks of the background,
    is zero.
    """
    (scheme,) = (
        scheme
        for scheme in SCHEMES
        if (scheme.kind, scheme.convention) == (model.output_kind, convention)
    )
    state = {}
    shapes = traverse_util.flatten_dict(variable_shapes(model), sep="/")
    for name, leaf in shapes.items():
        ours = name.split("/", 1)[1]
        theirs, shape = scheme.to_torch(ours), their_shape(ours, leaf.shape, scheme)
        size = math.prod(shape)
        start = rng.integers(0, len(_numbers()) - size)
        state[theirs] = _numbers()[start : start + size].reshape(shape)
        for layout in scheme.layouts_of(ours):
            state[theirs] = layout.write(layout.read(state[theirs]))
        if theirs.endswith("running_var"):
            state[theirs] = np.abs(state[theirs])
            counter = theirs.replace("running_var", "num_batches_tracked")
            state[counter] = np.zeros((), np.int64)
    return state
