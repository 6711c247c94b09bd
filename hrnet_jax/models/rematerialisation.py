"""Rematerialisation: recomputing activations in the backward pass.

Training keeps the outputs of every layer until the backward pass has used them, which
is most of the memory of a train step. Each policy keeps less and computes the rest
a second time; outputs, gradients and parameter names stay the same.
"""

from typing import Any

from flax import linen as nn

from hrnet_jax.errors import ConfigError

# Policy -> the parts of the network inside which it computes again.
_PARTS: dict[str, tuple[str, ...]] = {
    "none": (),
    # Keeps images and what enters blocks of stage 1 and modules of stages 2 to 4.
    "modules": ("stem", "bottleneck", "module"),
    # Keeps images and what enters residual blocks, and all of the exchange.
    "blocks": ("stem", "bottleneck", "block"),
    # Keeps the outputs of all convolutions and all sums over a batch; norms, ReLUs,
    # additions and upsampling come again.
    "convolutions": ("stem", "bottleneck", "transition", "module"),
}

POLICIES = tuple(_PARTS)

# Before there were policies, the option was a yes or no.
_ANSWERS = {
    True: "modules",
    False: "none",
    "true": "modules",
    "false": "none",
}

# Matrix products along rows or columns, which upsample, have fewer axes than the
# 1x1 convolutions of [B, H, W, C] maps.
_MAP_AXES = 4


def remat_policy(value: Any) -> str:
    """The policy that a value of the option `remat` means.

    Args:
        value: one of `POLICIES`, or a boolean: true is `modules`, false `none`.

    Raises:
        ConfigError: for anything else.
    """
    if isinstance(value, bool | str):
        policy = _ANSWERS.get(value, str(value))
        if policy in _PARTS:
            return policy
    raise ConfigError(
        f"config key 'model.remat' must be one of {', '.join(POLICIES)} "
        f"(or true for modules, false for none), got {value!r}"
    )


def rematerialised(module: type[nn.Module], part: str, policy: str) -> type[nn.Module]:
    """A module class that computes again in the backward pass, if the policy says so.

    Args:
        module: called with (maps, train).
        part: `stem`, `bottleneck`, `block`, `transition` or `module`.
        policy: one of `POLICIES`.

    Returns:
        `module` itself where the policy leaves such parts alone.
    """
    if part not in _PARTS[policy]:
        return module
    saveable = _is_costly if policy == "convolutions" else None
    return nn.remat(module, static_argnums=(2,), policy=saveable)


def _is_costly(primitive: Any, *operands: Any, **_: Any) -> bool:
    """Whether a result is kept: convolutions, and sums, which are small."""
    if primitive.name == "dot_general":
        return operands[0].ndim == _MAP_AXES
    return primitive.name in ("conv_general_dilated", "reduce_sum")
