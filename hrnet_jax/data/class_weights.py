"""Weights of classes from their pixels, by the rules in use."""

from collections.abc import Callable, Mapping

import numpy as np

from hrnet_jax.data.info import DatasetInfo, label_pixels

# ENet's constant, which keeps the weights between 1.4 and 50.5.
_ENET = 1.02


def median_frequency_weights(info: DatasetInfo, split: str | None = None) -> np.ndarray:
    """Class weights that make rare classes count as much as common ones.

    The weight of class c is `median(f) / f(c)` with `f(c)` = pixels of c over
    all labelled pixels of the images that show c (Eigen and Fergus, "Predicting
    depth, surface normals and semantic labels", ICCV 2015, section 4.3.2; used
    by SegNet). The median runs over the classes that occur; a class that never
    occurs gets 0.

    Args:
        info: of the data set.
        split: whose pixels are counted; None for the one to train on.

    Returns:
        float64 [num_classes].
    """
    pixels = label_pixels(info, split)
    support = label_pixels(info, split, info.pixels_where_present)
    occurs = pixels > 0
    weights = np.zeros(info.num_classes)
    if occurs.any():
        frequency = pixels[occurs] / support[occurs]
        weights[occurs] = np.median(frequency) / frequency
    return weights


def inverse_frequency_weights(
    info: DatasetInfo, split: str | None = None
) -> np.ndarray:
    """Weights with which every class that occurs counts the same in a sum over pixels.

    The weight of class c is `N / (K n(c))`: of N labelled pixels n(c) show it, and K
    classes occur. One that never occurs gets 0.

    Args:
        info: of the data set.
        split: whose pixels are counted; None for the one to train on.

    Returns:
        float64 [num_classes].
    """
    pixels = label_pixels(info, split)
    occurs = pixels > 0
    weights = np.zeros(info.num_classes)
    weights[occurs] = pixels.sum() / (occurs.sum() * pixels[occurs])
    return weights


def enet_weights(info: DatasetInfo, split: str | None = None) -> np.ndarray:
    """The weights `1 / ln(1.02 + p(c))`, which bound those of rare classes.

    p(c) is the share of class c of all labelled pixels (Paszke et al., "ENet", 2016,
    section 5.2).

    Args:
        info: of the data set.
        split: whose pixels are counted; None for the one to train on.

    Returns:
        float64 [num_classes].
    """
    pixels = label_pixels(info, split)
    return 1 / np.log(_ENET + pixels / max(1, pixels.sum()))


# By their names in reports, and as values of `loss.class_weights_from`.
RULES: Mapping[str, Callable[[DatasetInfo, str | None], np.ndarray]] = {
    "median": median_frequency_weights,
    "inverse": inverse_frequency_weights,
    "enet": enet_weights,
}
