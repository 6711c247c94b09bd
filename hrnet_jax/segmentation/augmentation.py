"""Options of the training augmentation."""

import dataclasses

from hrnet_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class AugmentationOptions:
    """Training augmentation; the defaults are the official Cityscapes recipe.

    Attributes:
        crop_size: height and width of the crop in pixels.
        resize_to: height and width that images are resized to before anything else,
            whatever their shape, as published for LIP; empty keeps them.
        short_side: side in pixels that the shorter side of images is resized to before
            anything else, as published for PASCAL-Context, ADE20K and COCO-Stuff with
            OCR; 0 keeps it. Where `base_size` is set, pixels are then interpolated
            twice.
        base_size: long side in pixels at scale 1; 0 takes each image's own.
        base_short_side: images fit into this as well, at scale 1, with their short
            side; with `base_size=0` it alone decides. mmsegmentation's `RandomResize`
            of (2048, 512) is `base_size=2048`, `base_short_side=512`. 0: no bound.
        scale_min: smallest scale.
        scale_max: largest scale, inclusive.
        scale_step: distance between scales; 0 draws from the continuous
            U[scale_min, scale_max).
        flip: whether to mirror with probability one half.
        flip_first: mirror before everything else, as published for LIP.
        brightness: largest shift of `random_brightness` in grey levels; 0 = off.
        photometric: whether to apply `random_photometric_distortion`.
        cat_max_ratio: a crop is drawn again, up to 10 times, while one class
            fills this share or more of its labelled pixels; 1.0 = off.
            mmsegmentation uses 0.75.
        pad_color: RGB of pixels beyond small images; black, as published.
            mmsegmentation pads with the mean colour, (124, 116, 104).

    Raises:
        ConfigError: naming the key whose value is out of range.
    """

    crop_size: tuple[int, int] = (512, 1024)
    resize_to: tuple[int, ...] = ()
    short_side: int = 0
    base_size: int = 0
    base_short_side: int = 0
    scale_min: float = 0.5
    scale_max: float = 2.1
    scale_step: float = 0.1
    flip: bool = True
    flip_first: bool = False
    brightness: int = 0
    photometric: bool = False
    cat_max_ratio: float = 1.0
    pad_color: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self):
        if len(self.crop_size) != 2 or min(self.crop_size) < 1:
            raise ConfigError(
                "crop_size must be two positive integers, (height, width), "
                f"got {self.crop_size!r}"
            )
        if len(self.resize_to) not in (0, 2) or min(self.resize_to, default=1) < 1:
            raise ConfigError(
                "resize_to must be empty or two positive integers, (height, width), "
                f"got {self.resize_to!r}"
            )
        for name in ("short_side", "base_short_side"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{name} must be a number of pixels, or 0 for none, "
                    f"got {getattr(self, name)}"
                )
        if self.resize_to and self.short_side:
            raise ConfigError(
                "resize_to and short_side both say what images are resized to first, "
                f"got {self.resize_to} and {self.short_side}; expected one of them"
            )
        if self.flip_first and not self.flip:
            raise ConfigError("flip_first says when to flip, but flip is false")
        if not all(0 <= value <= 255 for value in self.pad_color):
            raise ConfigError(
                f"pad_color must be RGB, each 0..255, got {self.pad_color!r}"
            )
        if self.base_size < 0:
            raise ConfigError(
                "base_size must be a long side in pixels, or 0 for the image's "
                f"own, got {self.base_size}"
            )
        if not 0 < self.scale_min <= self.scale_max:
            raise ConfigError(
                "scale_min and scale_max must satisfy 0 < scale_min <= scale_max, "
                f"got {self.scale_min} and {self.scale_max}"
            )
        if self.scale_step < 0:
            raise ConfigError(f"scale_step must not be negative, got {self.scale_step}")
        if not 0 <= self.brightness <= 255:
            raise ConfigError(
                f"brightness must be between 0 and 255, got {self.brightness}"
            )
        if not 0 < self.cat_max_ratio <= 1:
            raise ConfigError(
                f"cat_max_ratio must be in (0, 1], got {self.cat_max_ratio}"
            )
