"""Labels of images too large for their scores, from top to bottom.

All scores of an image are 4 bytes a class and pixel: 40000x40000 pixels of 19 classes
have 122 GB. Here windows are scored one by one, and their scores added up on the host
for as many rows as one window has; what no further window reaches is labelled, written
and forgotten. So memory grows with the width of the image alone.
"""

import contextlib
import pathlib
from collections.abc import Callable, Collection, Iterator

import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.imaging.palette import IGNORED, default_palette
from hrnet_jax.imaging.png_rows import PngRows
from hrnet_jax.segmentation.drawing import color_map
from hrnet_jax.segmentation.outputs import summarize_counts
from hrnet_jax.segmentation.windows import Places, WindowOptions, places
from hrnet_jax.whole_files import whole_file

# Bytes of scores above which an image is labelled in strips.
MOST_SCORES = 2**30

# What can be written without the whole image.
KINDS = ("label", "color", "indexed")

Score = Callable[[np.ndarray], np.ndarray]


def labelled_strips(
    score: Score, image: np.ndarray, options: WindowOptions
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Labels of an image, from top to bottom; the same as those of `windowed_logits`.

    Args:
        score: uint8 [1, h, w, 3] to float32 [1, h, w, K], what is averaged: probabilities
            or logits of one window.
        image: uint8 [H, W, 3]; read window by window, so it may be mapped from a file.
        options: with a size.

    Yields:
        Labels uint8 [n, W] and confidence float32 [n, W] of the next n rows.
    """
    height, width = image.shape[:2]
    rows, columns = (
        places(side, length, step, options.ends, options.blend)
        for side, length, step in zip(
            (height, width), options.size, options.steps, strict=True
        )
    )
    weights = np.outer(rows.weights, columns.weights).astype(np.float32)[..., None]
    exp = options.average == "exp"
    sums = None
    for k, top in enumerate(rows.starts):
        for left in columns.starts:
            window = _cut(image, top, left, (rows.length, columns.length))
            values = np.asarray(score(window[None]))[0]
            if sums is None:
                shape = (rows.length, columns.extent, values.shape[-1])
                sums = np.full(shape, -np.inf if exp else 0, np.float32)
            part = sums[:, left : left + columns.length]
            if exp:
                np.logaddexp(part, values + np.log(weights), out=part)
            else:
                part += values * weights
        assert sums is not None
        below = rows.starts[k + 1] if k + 1 < len(rows.starts) else height
        done = max(0, min(below, height) - top)
        yield _labels(sums[:done, :width], top, rows, columns, options.average)
        # What further windows add to moves to the top.
        sums[: len(sums) - done] = sums[done:].copy()
        sums[len(sums) - done :] = -np.inf if exp else 0


def _cut(image: np.ndarray, top: int, left: int, size: tuple[int, int]) -> np.ndarray:
    """A window of an image, black outside it."""
    part = np.asarray(image[top : top + size[0], left : left + size[1]])
    if part.shape[:2] == size:
        return part
    window = np.zeros((*size, 3), np.uint8)
    window[: part.shape[0], : part.shape[1]] = part
    return window


def _labels(
    sums: np.ndarray, top: int, rows: Places, columns: Places, average: str
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and confidence of rows of sums [n, W, K] that are complete."""
    label = sums.argmax(-1)
    if average == "logits":
        total = np.outer(rows.total[top:][: len(sums)], columns.total[: sums.shape[1]])
        sums = sums / total[..., None]
    best = np.take_along_axis(sums, label[..., None], -1)
    if average == "probabilities":
        confidence = best[..., 0] / sums.sum(-1)
    else:
        confidence = 1 / np.exp(sums - best).sum(-1)
    return label.astype(np.uint8), confidence.astype(np.float32)


def save_strips(
    folder: pathlib.Path,
    name: str,
    size: tuple[int, int],
    strips: Iterator[tuple[np.ndarray, np.ndarray]],
    info: DatasetInfo,
    kinds: Collection[str],
) -> dict:
    """Writes the label map of a large image, and its colours, as strips come.

    Args:
        folder: where to; made if missing.
        name: start of the file names; see `outputs.save_prediction`.
        size: (height, width) of the image.
        strips: of `labelled_strips`.
        info: class names and colours.
        kinds: some of `KINDS`; others need the whole image, and are left out.

    Returns:
        The summary of `outputs.save_prediction`, with `left_out`, the kinds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    palette = info.palette or default_palette(info.num_classes)
    colours = [*palette, *[IGNORED] * (256 - len(palette))]
    counts, sums = np.zeros((2, info.num_classes))
    with contextlib.ExitStack() as stack:
        files = {}
        for kind in (kind for kind in kinds if kind in KINDS):
            file = stack.enter_context(whole_file(folder / f"{name}_{kind}.png"))
            of_colours = colours if kind == "indexed" else ()
            channels = 3 if kind == "color" else 1
            files[kind] = PngRows(file, size, of_colours, channels)
        for label, confidence in strips:
            for kind, rows in files.items():
                rows.write(color_map(label, palette) if kind == "color" else label)
            flat = label.ravel()
            counts += np.bincount(flat, minlength=info.num_classes)
            sums += np.bincount(flat, confidence.ravel(), minlength=info.num_classes)
        for rows in files.values():
            rows.finish()
    summary = summarize_counts(size, counts.astype(np.int64), sums, info)
    return {**summary, "left_out": [kind for kind in kinds if kind not in KINDS]}
