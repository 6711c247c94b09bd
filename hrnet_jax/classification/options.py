"""How images are seen when they are evaluated or predicted."""

import dataclasses

from hrnet_jax.errors import ConfigError

INTERPOLATIONS = ("bilinear", "bicubic")
LIBRARIES = ("pillow", "opencv")


@dataclasses.dataclass(frozen=True)
class InferenceOptions:
    """Options for cutting an image for the network.

    Attributes:
        short_side: the image is resized so that its short side is this long, in
            pixels; 0 leaves it as it is. `crop` divided by the fraction of the image
            that others state: 256 is 224 / 0.875.
        crop: side of the square then cut from the middle, in pixels; 0 for none.
        interpolation: `bilinear` or `bicubic`.
        library: that resizes: `pillow`, which averages what it reduces, as all
            published figures were measured, or `opencv`.
    """

    short_side: int = 256
    crop: int = 224
    interpolation: str = "bilinear"
    library: str = "pillow"

    def __post_init__(self):
        if min(self.short_side, self.crop) < 0 or 0 < self.short_side < self.crop:
            raise ConfigError(
                "config keys 'eval.inference.short_side' and 'crop' must not be "
                f"negative, and a crop not larger than the side, got {self}"
            )
        for key, known in (("interpolation", INTERPOLATIONS), ("library", LIBRARIES)):
            if getattr(self, key) not in known:
                raise ConfigError(
                    f"config key 'eval.inference.{key}' is {getattr(self, key)!r}; "
                    f"expected {' or '.join(known)}"
                )
