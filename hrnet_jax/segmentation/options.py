"""Options of the test protocol of segmentation."""

import dataclasses
import math

from hrnet_jax.errors import ConfigError
from hrnet_jax.segmentation.windows import WindowOptions

FUSIONS = ("softmax", "logits", "exp")


@dataclasses.dataclass(frozen=True)
class InferenceOptions:
    """Options of predictions for whole images.

    Attributes:
        flip: average the logits of the image and its mirror image.
        scales: the image is predicted at each of these sizes, and the predictions are
            fused. Published: 0.5, 0.75, 1.0, 1.25, 1.5, 1.75 for Cityscapes, with 2.0
            as well for PASCAL-Context, COCO-Stuff and ADE20K.
        fusion: what is averaged over scales: `softmax`, probabilities; `logits`; or
            `exp`, exponentials of the logits without normalisation, as published,
            where a scale with larger logits weighs more.
        base_size: long side in pixels at scale 1, as published (2048 for Cityscapes,
            520 for the others); 0 takes each image's own.
        image_size: what images are resized to before all else: empty for nothing, one
            number for a short side in pixels (520 in the official code for
            PASCAL-Context, ADE20K and COCO-Stuff), two for a height and width whatever
            the aspect ratio (473,473 for LIP).
        multiple: sides of these images are padded to multiples of this with the mean
            colour; 8 in the same code.
        keeps_padding: whether that padding stays when labels come back to the size of
            the image, which moves them by up to 7 pixels, as in the official code for
            ADE20K.
        window: predict large images in windows.
        canvases: shapes at most that images of several sizes are padded to, black, at
            the bottom and right. Where there are no more sizes, none is padded.
        absent_classes: what becomes of classes that no pixel of the evaluated split is
            labelled with: `zero`, their IoU of 0 counts in the mean, as published;
            `skip`, the mean is over the others.
        boundary: whether boundary IoU is computed beside IoU; see `boundary`.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    fusion: str = "softmax"
    base_size: int = 0
    image_size: tuple[int, ...] = ()
    multiple: int = 1
    keeps_padding: bool = False
    window: WindowOptions = WindowOptions()
    canvases: int = 4
    absent_classes: str = "zero"
    boundary: bool = False

    def __post_init__(self):
        positive = all(math.isfinite(one) and one > 0 for one in self.scales)
        if not (self.scales and positive):
            raise _wrong("scales", "one or more positive numbers", self.scales)
        for name, known in (
            ("fusion", FUSIONS),
            ("absent_classes", ("zero", "skip")),
        ):
            if getattr(self, name) not in known:
                what = f"{', '.join(known[:-1])} or {known[-1]}"
                raise _wrong(name, what, repr(getattr(self, name)))
        if self.base_size < 0:
            what = "a long side in pixels, or 0 for that of the image"
            raise _wrong("base_size", what, self.base_size)
        if len(self.image_size) > 2 or min(self.image_size, default=1) < 1:
            what = "empty, a short side, or a height and a width in pixels"
            raise _wrong("image_size", what, self.image_size)
        for name in ("multiple", "canvases"):
            if getattr(self, name) < 1:
                raise _wrong(name, "at least 1", getattr(self, name))
        if self.keeps_padding and self.multiple == 1:
            raise ConfigError(
                "config key 'eval.inference.keeps_padding' is True, but "
                "'eval.inference.multiple' is 1, which pads nothing; expected 8 or so"
            )

    @property
    def sees_image_as_it_is(self) -> bool:
        """Whether there is one view of an image, of its own size."""
        return self.scales == (1.0,) and not self.base_size and not self.resizes

    @property
    def resizes(self) -> bool:
        """Whether images change before they are scaled."""
        return bool(self.image_size) or self.multiple > 1

    def in_windows(self, scale: float) -> bool:
        """Whether images of a scale are seen in windows."""
        return bool(self.window.size) and scale > self.window.whole_up_to


def _wrong(name: str, expected: str, got: object) -> ConfigError:
    return ConfigError(
        f"config key 'eval.inference.{name}' must be {expected}, got {got}"
    )
