"""The nine published HRNet variants as one table."""

import dataclasses

from hrnet_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one HRNet.

    Attributes:
        width: channels C of the highest-resolution branch; branch b has
            C * 2**b channels and runs at stride 4 * 2**b.
        stage1_blocks: number of bottlenecks in stage 1.
        stage1_width: inner channels of those bottlenecks; they output four
            times as many.
        modules: number of modules in stages 2, 3 and 4.
        blocks: basic blocks per branch and module in stages 2 to 4.
    """

    width: int
    stage1_blocks: int = 4
    stage1_width: int = 64
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4

    def branch_widths(self, branches: int = 4) -> tuple[int, ...]:
        """Channels of the first `branches` branches, high resolution first."""
        return tuple(self.width * 2**branch for branch in range(branches))


# HRNet-Image-Classification, experiments/*.yaml. W18-small-v1 is 16 wide.
VARIANTS: dict[str, Variant] = {
    "w18_small_v1": Variant(
        16, stage1_blocks=1, stage1_width=32, modules=(1, 1, 1), blocks=2
    ),
    "w18_small_v2": Variant(18, stage1_blocks=2, modules=(1, 3, 2), blocks=2),
    "w18": Variant(18),
    "w30": Variant(30),
    "w32": Variant(32),
    "w40": Variant(40),
    "w44": Variant(44),
    "w48": Variant(48),
    "w64": Variant(64),
}


def get_variant(name: str) -> Variant:
    """Looks a variant up by name.

    Raises:
        ConfigError: if there is no such variant; lists those that exist.
    """
    if name not in VARIANTS:
        raise ConfigError(
            f"unknown HRNet variant {name!r}; expected one of {', '.join(VARIANTS)}"
        )
    return VARIANTS[name]
