"""Heatmap regression in training, alike for landmarks and pose."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.keypoints import encoding
from hrnet_jax.keypoints.losses import LossOptions, heatmap_loss
from hrnet_jax.keypoints.task import HeatmapTask
from hrnet_jax.keypoints.transforms import AugmentationOptions
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.tasks.forward import train_outputs


class LearnsHeatmaps(HeatmapTask):
    """A `HeatmapTask` with targets and loss.

    Args:
        model: see there, as for everything else.
        info: as there.
        augmentation: how boxes are cut out, and what training varies.
        loss: targets and loss.
        inference: as there.
        normalization: as there.
    """

    totals: ClassVar[tuple[str, ...]] = ()
    map_keys: ClassVar[tuple[str, ...]] = ()
    groups_images: ClassVar[bool] = False
    reads_encoded: ClassVar[bool] = False
    # Outside the crop a point counts as inside where it is no farther, in sigmas.
    reach: ClassVar[float] = 0.0

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: AugmentationOptions,
        loss: LossOptions,
        inference: Any,
        normalization: Normalization,
    ):
        super().__init__(model, info, augmentation, inference, normalization)
        self.image_size = augmentation.crop_size
        self._loss = loss

    def loss(self, variables: dict, batch: dict, rngs: dict):
        """Mean heatmap loss of a batch; see `tasks.protocol.Trains`."""
        heatmaps, stats = train_outputs(
            self.model, variables, batch["image"], self._normalization, rngs
        )
        targets, weights = self.targets(batch, heatmaps.shape[1:3])
        value = heatmap_loss(heatmaps, targets, weights, self._loss)
        return value, (stats, {})

    def targets(
        self, batch: dict, size: tuple[int, int]
    ) -> tuple[jax.Array, jax.Array]:
        """Target heatmaps of a batch, and which of them count.

        Args:
            batch: `points` float32 [B, K, 2] in crop pixels, `visible` and `annotated`
                [B, K].
            size: (height, width) of the heatmaps.

        Returns:
            float32 [B, height, width, K] and weights float32 [B, K], 0 or 1.
        """
        if self._is_official:
            return self._official_targets(batch, size)
        options = self._loss
        weights = batch["annotated"].astype(jnp.float32)
        cells = encoding.crop_to_cells(batch["points"], self.image_size, size)
        heatmaps = encoding.gaussian_heatmaps(cells, size, options.sigma)
        reach = self.reach * options.sigma
        for treatment, applies in (
            (options.hidden, ~batch["visible"].astype(bool)),
            (options.outside, ~encoding.inside(cells, size, reach)),
        ):
            if treatment == "zero":
                heatmaps *= ~applies[:, None, None, :]
            elif treatment == "mask":
                weights *= ~applies
        return heatmaps, weights

    def _official_targets(
        self, batch: dict, size: tuple[int, int]
    ) -> tuple[jax.Array, jax.Array]:
        """The same as the published code makes them."""
        raise NotImplementedError
