"""Slices of TPUs by name, such as `v5e:2x4`; needs no JAX."""

import dataclasses
import re

from hrnet_jax.costs.chips import CHIPS, Chip, chips_in, find_chip
from hrnet_jax.errors import ConfigError

_FORM = re.compile(r"(\w+):(\d+(?:x\d+)*)")


@dataclasses.dataclass(frozen=True)
class Slice:
    """Chips that are rented together.

    Attributes:
        chip: their kind.
        shape: how many along each axis of the torus.
    """

    chip: Chip
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """For example `v5e:2x4`."""
        return f"{self.chip.name}:{self.topology}"

    @property
    def topology(self) -> str:
        """For example `2x4`."""
        return "x".join(map(str, self.shape))

    @property
    def chips(self) -> int:
        """Number of chips."""
        return chips_in(self.shape)

    @property
    def devices(self) -> int:
        """Number of JAX devices."""
        return self.chips * self.chip.devices


def parse_slices(text: str) -> list[Slice]:
    """Reads `v5e:2x4,v5e:4x4`.

    Raises:
        ConfigError: for another form, an unknown chip, a wrong number of axes, or the
            same slice twice.
    """
    slices = [parse_slice(part.strip()) for part in text.split(",")]
    names = [entry.name for entry in slices]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--topology names {name} twice")
    return slices


def parse_slice(text: str) -> Slice:
    """Reads `v5e:2x4`.

    Raises:
        ConfigError: for another form, an unknown chip or a wrong number of axes.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"wrong topology {text!r}; expected CHIP:SHAPE such as v5e:2x4 or v4:2x2x1, "
            f"where CHIP is one of {', '.join(CHIPS)}"
        )
    chip = find_chip(match[1])
    shape = tuple(map(int, match[2].split("x")))
    if len(shape) != chip.axes or min(shape) < 1:
        example = "x".join(["2"] * chip.axes)
        raise ConfigError(
            f"wrong topology {text!r}; a slice of {chip.name} has {chip.axes} axes of at "
            f"least one chip, such as {chip.name}:{example}"
        )
    return Slice(chip, shape)
