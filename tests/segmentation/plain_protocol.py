"""The test protocol in NumPy and OpenCV, with a network without weights."""

import itertools
import math

import cv2
import jax
import numpy as np
import scipy.special
from scipy.ndimage import map_coordinates

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.segmentation.options import InferenceOptions
from hrnet_jax.segmentation.task import SegmentationTask

K = 3
INFO = DatasetInfo(
    "any", K, ("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (99, 9, 9)), flip_pairs=((1, 2),)
)
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


class Averages:
    """A network without weights: what 4x4 pixels look like, and where they lie.

    Logits depend on the place, so that what is seen in the wrong place shows.
    """

    upsample = "bilinear"

    def apply(self, variables, inputs):
        return low_logits(jax.numpy, inputs)


def low_logits(xp, inputs):
    """[B, h, w, 3], normalised, to [B, ceil(h / 4), ceil(w / 4), 3]."""
    height, width = inputs.shape[1:3]
    padded = xp.pad(
        inputs, ((0, 0), (0, -height % 4), (0, -width % 4), (0, 0)), mode="edge"
    )
    rows, columns = padded.shape[1] // 4, padded.shape[2] // 4
    means = padded.reshape(-1, rows, 4, columns, 4, 3).mean((2, 4))
    place = xp.arange(rows)[:, None, None] * 0.1 - xp.arange(columns)[:, None] * 0.07
    # Not alike for classes that swap, or they would be equally likely everywhere.
    return 2 * means + place * np.array([1, 0.4, -1], "float32")


def cv2_resize(maps, size, aligned=False):
    """[h, w, C] to (height, width), by the definition of each mode."""
    if not aligned:
        parts = [cv2.resize(part, size[::-1]) for part in np.moveaxis(maps, -1, 0)]
        return np.stack(parts, -1)
    for axis, count in enumerate(size):
        n = maps.shape[axis]
        place = np.arange(count) * ((n - 1) / max(1, count - 1))
        low = np.clip(np.floor(place).astype(int), 0, max(0, n - 2))
        first = maps.take(low, axis)
        second = maps.take(np.minimum(low + 1, n - 1), axis)
        share = np.moveaxis((place - low)[:, None, None], 0, axis)
        maps = first + (second - first) * share
    return maps


def whole_scores(pixels, options):
    """Logits of what the network sees whole, float64 [h, w, K], at its size."""
    inputs = ((pixels / 255 - MEAN) / STD)[None]
    logits = low_logits(np, inputs)
    if options.flip:
        mirrored = low_logits(np, inputs[:, :, ::-1])[:, :, ::-1]
        logits = (logits + mirrored[..., [0, 2, 1]]) / 2
    return logits[0]


def in_windows(pixels, options, aligned):
    """Logits of an image from its windows, one after the other."""
    window = options.window
    height, width = pixels.shape[:2]
    stride = window.stride or [side * 2 // 3 for side in window.size]
    canvas = np.zeros((height + 200, width + 200, 3))
    canvas[:height, :width] = pixels
    sums, total = np.zeros((*canvas.shape[:2], K)), np.zeros((*canvas.shape[:2], 1))
    lengths = [
        min(a, b) if window.ends == "inside" else a
        for a, b in zip(window.size, (height, width), strict=True)
    ]
    starts = [
        [
            min(i * step, side - length) if window.ends == "inside" else i * step
            for i in range(max(0, math.ceil((side - length) / step)) + 1)
        ]
        for side, length, step in zip((height, width), lengths, stride, strict=True)
    ]
    for row, column in itertools.product(*starts):
        at = np.s_[row : row + lengths[0], column : column + lengths[1]]
        seen = canvas[at]
        logits = cv2_resize(whole_scores(seen, options), seen.shape[:2], aligned)
        values = np.exp(logits)
        if window.average == "probabilities":
            values /= values.sum(-1, keepdims=True)
        sums[at] += values
        total[at] += 1
    return np.log(sums[:height, :width] / total[:height, :width])


def prepared(image, options):
    """The image before it is scaled, and its size without what pads it."""
    inner = image.shape[:2]
    if len(options.image_size) == 2:
        inner = options.image_size
    elif options.image_size:
        inner = tuple(
            int(side * options.image_size[0] / min(inner) + 0.5) for side in inner
        )
    if inner != image.shape[:2]:
        image = cv2.resize(image, inner[::-1])
    bottom, right = (-side % options.multiple for side in inner)
    colour = np.rint(MEAN * 255).tolist()
    border = cv2.BORDER_CONSTANT
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, border, value=colour), inner


def scaled_size(size, scale, options):
    """Size of an image at a scale."""
    long = math.floor((options.base_size or max(size)) * scale + 0.5)
    other = math.floor(min(size) * long / max(size) + 0.5)
    return (long, other) if size[0] > size[1] else (other, long)


def black_to(pixels, shape):
    """Padded to a shape at the bottom and right."""
    bottom, right = (a - b for a, b in zip(shape, pixels.shape, strict=False))
    return np.pad(pixels, ((0, bottom), (0, right), (0, 0)))


def as_published(image, options, aligned, shapes):
    """Logarithm of the scores [h, w, K], step by step as the official scripts do.

    What is seen whole is padded to the shapes of the views.
    """
    label = image.shape[:2]
    image, inner = prepared(image, options)
    total = 0
    for scale, shape in zip(options.scales, shapes, strict=True):
        scaled = scaled_size(image.shape[:2], scale, options)
        pixels = cv2.resize(image.astype(np.float64), scaled[::-1])
        if options.in_windows(scale):
            logits = in_windows(pixels, options, aligned)
        else:
            logits = whole_scores(black_to(pixels, shape), options)
            logits = cv2_resize(logits, shape, aligned)[: scaled[0], : scaled[1]]
        total = total + cv2_resize(np.exp(logits), image.shape[:2], aligned)
    if not options.keeps_padding:
        total = total[: inner[0], : inner[1]]
    return np.log(cv2_resize(total, label, aligned))


def straight(image, options, aligned, shapes):
    """Logits [h, w, K] where those of a view are read once, at each pixel's place."""
    label = image.shape[:2]
    image, inner = prepared(image, options)
    kept = image.shape[:2] if options.keeps_padding else inner
    total = 0
    for scale, shape in zip(options.scales, shapes, strict=True):
        scaled = scaled_size(image.shape[:2], scale, options)
        pixels = cv2.resize(image.astype(np.float64), scaled[::-1])
        if options.in_windows(scale):
            maps = in_windows(pixels, options, aligned)
        else:
            maps = whole_scores(black_to(pixels, shape), options)
        places = []
        for axis in (0, 1):
            place = np.arange(label[axis], dtype=np.float64)
            steps = [(label[axis], kept[axis]), (image.shape[axis], scaled[axis])]
            if not options.in_windows(scale):
                steps.append((shape[axis], maps.shape[axis]))
            for here, there in steps:
                if aligned:
                    place = place * (there - 1) / max(1, here - 1)
                else:
                    place = (place + 0.5) * there / here - 0.5
                place = np.clip(place, 0, there - 1)
            places.append(place)
        grid = np.meshgrid(*places, indexing="ij")
        logits = np.stack(
            [map_coordinates(maps[..., k], grid, order=1) for k in range(K)], -1
        )
        if len(options.scales) > 1 and options.fusion == "softmax":
            logits = scipy.special.softmax(logits, -1)
        total = total + logits / len(options.scales)
    if len(options.scales) > 1 and options.fusion == "softmax":
        return np.log(total)
    return total


def task_with(aligned=False, **options):
    model = Averages()
    model.upsample = "align_corners" if aligned else "bilinear"
    return SegmentationTask(model, INFO, inference=InferenceOptions(**options))


def made_image(height, width):
    rng = np.random.default_rng([height, width])
    noise = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.blur(noise, (7, 7))


SIZES = [(50, 64), (64, 47), (33, 61)]


def batch_of(task, images):
    samples = [
        task.eval_transform(
            {"image": one, "label": np.zeros(one.shape[:2], np.uint8), "image_id": ""}
        )
        for one in images
    ]
    arrays = [{k: v for k, v in one.items() if k != "image_id"} for one in samples]
    return jax.tree.map(lambda *parts: np.stack(parts), *arrays)
