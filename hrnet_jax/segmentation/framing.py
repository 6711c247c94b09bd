"""Where the pixels of an image lie in what the network sees of it, on the host.

An image of one of many sizes lies at the top left of a canvas of one of a few. It is
seen in one or more views, which are the image at different scales, each on a canvas of
its own. All shapes that a program sees are those of canvases; the sizes of the images
reach it as numbers (taps), so images of many sizes share one program, and each is scaled
as it would be alone.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from hrnet_jax.imaging.canvases import few_shapes
from hrnet_jax.segmentation.options import InferenceOptions
from hrnet_jax.segmentation.transforms import resized_shape, shape_of_short_side
from hrnet_jax.segmentation.windows import covered

Size = tuple[int, int]

# Of the network's output.
STRIDE = 4

# A pixel of a map of scores, against one that goes through the network.
_SCORE_COST = 0.05


@dataclasses.dataclass(frozen=True)
class Canvas:
    """Shapes that images of one group share, (height, width).

    Attributes:
        label: of labels and predictions.
        image: of the image, as it is before it is scaled.
        views: of what each scale is seen on.
    """

    label: Size
    image: Size
    views: tuple[Size, ...]

    def holds(self, other: "Canvas") -> bool:
        """Whether an image with these sizes fits."""
        return all(
            small[0] <= large[0] and small[1] <= large[1]
            for small, large in zip(other._sizes, self._sizes, strict=True)
        )

    @property
    def _sizes(self) -> tuple[Size, ...]:
        return (self.label, self.image, *self.views)

    @property
    def area(self) -> int:
        """Pixels that the network sees."""
        return sum(height * width for height, width in self.views)


class Framing:
    """Sizes and taps of images, from the options of predictions.

    Args:
        options: of predictions.
        aligned: whether scores are resized with aligned corners.
        multiple: sides of canvases are rounded up to multiples of this.
    """

    def __init__(self, options: InferenceOptions, aligned: bool, multiple: int = 1):
        self._options = options
        self._aligned = aligned
        self._multiple = multiple

    def inner_size(self, size: Size) -> Size:
        """Size of an image that is resized as `image_size` asks."""
        chosen = self._options.image_size
        if len(chosen) == 2:
            return chosen[0], chosen[1]
        if not chosen:
            return size
        return shape_of_short_side(size, chosen[0])

    def padded_size(self, size: Size) -> Size:
        """The same with what `multiple` adds."""
        return _rounded(self.inner_size(size), self._options.multiple)

    def view_size(self, size: Size, scale: float) -> Size:
        """Size of an image, padded already, at a scale.

        The long side is floor(base_size * scale + 0.5); see `resized_shape`.
        """
        base = self._options.base_size
        if scale == 1 and not base:
            return size
        long = max(1, math.floor((base or max(size)) * scale + 0.5))
        return resized_shape(size, long)

    def own_canvas(self, size: Size) -> Canvas:
        """Shapes that one image of this size has by itself."""
        return self._of_size((int(size[0]), int(size[1])))

    @functools.lru_cache(maxsize=4096)  # noqa: B019 (lives as long as its task)
    def _of_size(self, size: Size) -> Canvas:
        padded = self.padded_size(size)
        views = [self.view_size(padded, scale) for scale in self._options.scales]
        return Canvas(size, padded, tuple(views))

    def rounded_canvas(self, size: Size) -> Canvas:
        """The same, rounded up to multiples."""
        own = self.own_canvas(size)
        if self._multiple == 1:
            return own
        label, image, *views = (_rounded(one, self._multiple) for one in own._sizes)
        return Canvas(label, image, tuple(views))

    def canvases(
        self, sizes: np.ndarray | Sequence[Size]
    ) -> tuple[np.ndarray, tuple[Canvas, ...]]:
        """Canvases for images of these sizes, int [N, 2], and that of each, int [N]."""
        kinds, place = np.unique(
            np.asarray(sizes).reshape(-1, 2), axis=0, return_inverse=True
        )
        own = [self.rounded_canvas((int(h), int(w)))._sizes for h, w in kinds]
        weights = [_SCORE_COST, _SCORE_COST, *[1.0] * len(self._options.scales)]
        place = place.reshape(-1)
        groups, shapes = few_shapes(
            np.array(own)[place], self._options.canvases, np.array(weights)
        )
        made = []
        for shape in shapes.tolist():
            label, image, *views = ((height, width) for height, width in shape)
            made.append(Canvas(label, image, tuple(views)))
        return groups, tuple(made)

    def resized(self, image: np.ndarray, mean: Sequence[float]) -> np.ndarray:
        """The image before it is scaled, uint8 [H, W, 3].

        Args:
            image: uint8 [h, w, 3] RGB.
            mean: colour of padding, from 0 to 255.
        """
        height, width = self.inner_size(image.shape[:2])
        if (height, width) != image.shape[:2]:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        bottom, right = (
            large - small
            for large, small in zip(
                _rounded((height, width), self._options.multiple),
                (height, width),
                strict=True,
            )
        )
        if not (bottom or right):
            return image
        colour = [round(value) for value in mean]
        return cv2.copyMakeBorder(
            image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=colour
        )

    def taps(self, size: Size, canvas: Canvas) -> dict[str, np.ndarray]:
        """What a program has to know of an image on a canvas.

        Args:
            size: (height, width) of the image as it is in its file.
            canvas: that holds it.

        Returns:
            Nothing where the image is seen once, whole and as it is. Else `views` int32
            [S, 2], its size at each scale, and taps float32 [length, 2], of each row or
            column the one before and the share of the next (`Axis.taps`):
            `see<k>_rows`, `see<k>_columns`, from the image to view k; `score<k>_rows`,
            `score<k>_columns`, from the scores of view k to the predictions; and of
            scores that are fused before they get their last size `label_rows`,
            `label_columns`.
        """
        options = self._options
        if options.sees_image_as_it_is and not options.window.size:
            return {}
        own = self.own_canvas(size)
        found = {"views": np.array(own.views, np.int32)}
        if options.sees_image_as_it_is:
            return found
        for axis, name in enumerate(("rows", "columns")):
            for k, scale in enumerate(options.scales):
                see, score = self._taps_of_view(k, scale, own, canvas, axis)
                found[f"see{k}_{name}"] = see
                found[f"score{k}_{name}"] = score
            if self._is_fused_early:
                kept = own.image if options.keeps_padding else self.inner_size(size)
                label = Axis.of(kept[axis]).resized(own.label[axis], self._aligned)
                found[f"label_{name}"] = label.taps(canvas.label[axis])
        return found

    @property
    def _is_fused_early(self) -> bool:
        """Whether scores are fused at the size of the resized image, as published."""
        return self._options.fusion == "exp" and self._options.resizes

    def _taps_of_view(
        self, k: int, scale: float, own: Canvas, canvas: Canvas, axis: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """From the image to view k, and from its scores back."""
        image, view = own.image[axis], own.views[k][axis]
        length = self.view_shape(k, canvas)[axis]
        see = Axis.of(image).resized(view, aligned=False).taps(length)
        # From scores of the view to each pixel of the image ...
        back = Axis.of(view)
        if not (self._options.fusion == "exp" or self._options.in_windows(scale)):
            # ... which are straight from what the network puts out.
            low = -(-canvas.views[k][axis] // STRIDE)
            back = (
                Axis.of(low).resized(canvas.views[k][axis], self._aligned).first(view)
            )
        back = back.resized(image, self._aligned)
        if self._is_fused_early:
            return see, back.taps(canvas.image[axis])
        if self._options.resizes:
            if not self._options.keeps_padding:
                back = back.first(self.inner_size(own.label)[axis])
            back = back.resized(own.label[axis], self._aligned)
        return see, back.taps(canvas.label[axis])

    def view_shape(self, k: int, canvas: Canvas) -> Size:
        """Shape of view k in the program.

        Those that are seen in windows share the largest, so that one program in a
        program sees them all.
        """
        options = self._options
        if not options.in_windows(options.scales[k]):
            return canvas.views[k]
        together = [
            shape
            for shape, scale in zip(canvas.views, options.scales, strict=True)
            if options.in_windows(scale)
        ]
        return covered(
            (max(h for h, _ in together), max(w for _, w in together)), options.window
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Axis:
    """Pixels along rows or columns, each at a position of what is read.

    Attributes:
        source: number of pixels there are to read.
        count: number of pixels here.
        position: from coordinates here, float64, to coordinates there.
    """

    source: int
    count: int
    position: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def of(cls, source: int) -> "Axis":
        """The pixels themselves."""
        return cls(source, source, lambda place: place)

    def resized(self, count: int, aligned: bool) -> "Axis":
        """`count` pixels over the same extent.

        Pixel i is at (i + 1/2) n / count - 1/2 of these n (OpenCV, and PyTorch with
        align_corners=False), or at i (n - 1) / (count - 1), aligned; none is beyond the
        first and the last.
        """
        n, before = self.count, self.position

        def position(place: np.ndarray) -> np.ndarray:
            if aligned:
                there = place * ((n - 1) / max(1, count - 1))
            else:
                there = (place + 0.5) * (n / count) - 0.5
            return before(np.clip(there, 0, n - 1))

        return Axis(self.source, count, position)

    def first(self, count: int) -> "Axis":
        """The first so many."""
        return dataclasses.replace(self, count=count)

    def taps(self, length: int) -> np.ndarray:
        """float32 [length, 2]: the pixel before, and the share of the next.

        Beyond the pixels here it is -1: there is none.
        """
        taps = np.zeros((length, 2), np.float32)
        taps[:, 0] = -1
        count = min(length, self.count)
        place = self.position(np.arange(count, dtype=np.float64))
        before = np.clip(np.floor(place), 0, max(0, self.source - 2))
        taps[:count] = np.stack([before, place - before], 1)
        return taps


def _rounded(size: Size, multiple: int) -> Size:
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width
