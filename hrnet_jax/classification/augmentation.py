"""Options of training crops."""

import dataclasses

from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.cutting import INTERPOLATIONS, LIBRARIES, Resizing

_AUGMENTATION = "dataset.augmentation"


def _check(section: str, key: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigError(
            f"config key '{section}.{key}' must be between {least} and {most}, got "
            f"{value}"
        )


def _check_range(
    section: str, key: str, values: tuple[float, float], most: float = float("inf")
) -> None:
    if len(values) != 2 or not 0 < values[0] <= values[1] <= most:
        limit = "" if most == float("inf") else f" <= {most}"
        raise ConfigError(
            f"config key '{section}.{key}' must be 0 < least <= largest{limit}, got "
            f"{values!r}"
        )


@dataclasses.dataclass(frozen=True)
class RandAugmentOptions:
    """Random operations on the colours and the shape of a crop; see `rand_augment`.

    Attributes:
        number: operations on each image, drawn with repeats; 0 for none.
        magnitude: how strong they are, from 0 to 10.
        magnitude_std: standard deviation of the magnitude of each operation.
        probability: of each drawn operation to be applied.
    """

    number: int = 0
    magnitude: float = 9.0
    magnitude_std: float = 0.5
    probability: float = 0.5

    def __post_init__(self):
        section = f"{_AUGMENTATION}.rand_augment"
        _check(section, "number", self.number, 0, 100)
        _check(section, "magnitude", self.magnitude, 0, 10)
        _check(section, "magnitude_std", self.magnitude_std, 0, 10)
        _check(section, "probability", self.probability, 0, 1)


@dataclasses.dataclass(frozen=True)
class JitterOptions:
    """Colour jitter, in random order; factors are drawn from U(1 - x, 1 + x).

    Attributes:
        brightness: x of the factor on all values; 0 for none.
        contrast: x of the factor on the distance from the mean grey.
        saturation: x of the factor on the distance from the grey image.
        hue: a shift is drawn from U(-hue, hue), of the whole circle.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self):
        section = f"{_AUGMENTATION}.jitter"
        for key in ("brightness", "contrast", "saturation"):
            _check(section, key, getattr(self, key), 0, 10)
        _check(section, "hue", self.hue, 0, 0.5)


@dataclasses.dataclass(frozen=True)
class ErasingOptions:
    """Random erasing (Zhong et al., AAAI 2020): a rectangle of noise.

    Attributes:
        probability: of an image to lose one; 0 for none.
        area: least and largest share of the crop.
        aspect: least and largest height over width.
    """

    probability: float = 0.0
    area: tuple[float, float] = (0.02, 1 / 3)
    aspect: tuple[float, float] = (0.3, 10 / 3)

    def __post_init__(self):
        section = f"{_AUGMENTATION}.erasing"
        _check(section, "probability", self.probability, 0, 1)
        _check_range(section, "area", self.area, 1)
        _check_range(section, "aspect", self.aspect)


@dataclasses.dataclass(frozen=True)
class AugmentationOptions:
    """How training crops are cut and changed; the defaults are the published ones.

    Attributes:
        crop_size: (height, width) of crops, in pixels.
        area: least and largest share of the image that a crop shows.
        aspect: least and largest width over height of what it shows.
        flip: whether to mirror with probability one half.
        interpolation: `bilinear` or `bicubic`.
        library: that resizes: `pillow`, antialiased as in the published code, or
            `opencv`, faster and not antialiased.
        scaled_decoding: see `imaging.cutting.Resizing`; 0 decodes JPEG files whole, as
            published.
        rand_augment: random operations.
        jitter: of colours.
        erasing: of a rectangle.

    Raises:
        ConfigError: naming the key whose value is out of range.
    """

    crop_size: tuple[int, int] = (224, 224)
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    interpolation: str = "bilinear"
    library: str = "pillow"
    scaled_decoding: float = 0.0
    rand_augment: RandAugmentOptions = RandAugmentOptions()
    jitter: JitterOptions = JitterOptions()
    erasing: ErasingOptions = ErasingOptions()

    def __post_init__(self):
        if len(self.crop_size) != 2 or min(self.crop_size) < 1:
            raise ConfigError(
                f"config key '{_AUGMENTATION}.crop_size' must be two positive numbers "
                f"of pixels, (height, width), got {self.crop_size!r}"
            )
        _check_range(_AUGMENTATION, "area", self.area, 1)
        _check_range(_AUGMENTATION, "aspect", self.aspect)
        for key, known in (("library", LIBRARIES), ("interpolation", INTERPOLATIONS)):
            if getattr(self, key) not in known:
                raise ConfigError(
                    f"config key '{_AUGMENTATION}.{key}' must be {' or '.join(known)}, "
                    f"got {getattr(self, key)!r}"
                )
        _check(_AUGMENTATION, "scaled_decoding", self.scaled_decoding, 0, 100)

    @property
    def resizing(self) -> Resizing:
        """How crops are resized."""
        return Resizing(self.library, self.interpolation, self.scaled_decoding)
