"""What is minimised, and how images are seen when they are evaluated or predicted."""

import dataclasses

from hrnet_jax.errors import ConfigError

INTERPOLATIONS = ("bilinear", "bicubic")
LIBRARIES = ("pillow", "opencv")


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """What is minimised.

    Of images with one class the cross-entropy of the softmax; of sets whose images have
    several, the binary cross-entropy of each class.

    Attributes:
        label_smoothing: share of the target that all classes have alike.
        mixup: parameter of the Beta distribution that images are mixed by (0.2 is
            usual); 0 for none.
        cutmix: parameter of the Beta distribution of the area that is cut out of
            another image (1 is usual); 0 for none. With both, a batch has either.
        mix_probability: share of the batches that are mixed.
        teacher: work directory, weights file, address or hub name of a trained
            classifier whose probabilities are learned as well; empty for none.
        teacher_weight: share of the loss that is the difference to the teacher; 1
            learns from it alone.
        temperature: divides the scores of both for that difference.
    """

    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    teacher: str = ""
    teacher_weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self):
        for key in ("mixup", "cutmix"):
            if getattr(self, key) < 0:
                raise ConfigError(
                    f"config key 'loss.{key}' must not be negative, got "
                    f"{getattr(self, key)}"
                )
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(
                "config key 'loss.label_smoothing' must be from 0 to below 1, got "
                f"{self.label_smoothing}"
            )
        for key in ("mix_probability", "teacher_weight"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(
                    f"config key 'loss.{key}' must be from 0 to 1, got "
                    f"{getattr(self, key)}"
                )
        if self.temperature <= 0:
            raise ConfigError(
                f"config key 'loss.temperature' must be positive, got {self.temperature}"
            )

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with others."""
        return bool(self.mixup or self.cutmix) and self.mix_probability > 0


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
