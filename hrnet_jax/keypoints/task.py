"""Heatmap regression, for facial landmarks and human pose alike."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import numpy as np

from hrnet_jax.config.options import NoOptions
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError
from hrnet_jax.imaging.pictures import side_by_side, with_caption, write_picture
from hrnet_jax.keypoints import encoding, geometry
from hrnet_jax.keypoints.decoding import METHODS, decode, mirror_heatmaps
from hrnet_jax.keypoints.drawing import (
    LOW_SCORE,
    draw_heatmaps,
    draw_points,
)
from hrnet_jax.keypoints.tracking import Follower
from hrnet_jax.keypoints.transforms import AugmentationOptions
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images
from hrnet_jax.models.resize import size_of
from hrnet_jax.tasks.boxes import BoxFinder

# Of the colours and the panels of a crop drawn with its truth.
_HOLLOW = f"hollow: peak below {LOW_SCORE}"


@dataclasses.dataclass(frozen=True)
class DecodingOptions:
    """Options for turning heatmaps into points.

    Attributes:
        decoding: `argmax`, `quarter` (published) or `dark`.
        dark_sigma: smoothing of `dark`, in cells: that of the training targets.
        flip: average the heatmaps of the crop and its mirror image.

    Raises:
        ConfigError: naming the key whose value is out of range.
    """

    decoding: str = "quarter"
    dark_sigma: float = 1.5
    flip: bool = False

    def __post_init__(self):
        if self.decoding not in METHODS:
            raise ConfigError(
                f"config key 'eval.inference.decoding' must be one of "
                f"{', '.join(METHODS)}, got {self.decoding!r}"
            )
        if self.dark_sigma <= 0:
            raise ConfigError(
                "config key 'eval.inference.dark_sigma' must be positive, "
                f"got {self.dark_sigma}"
            )


@dataclasses.dataclass(frozen=True)
class InferenceOptions(DecodingOptions):
    """Options for turning heatmaps into landmarks, and for their errors.

    Attributes:
        normalizer: what errors are divided by in the metric that ranks checkpoints;
            empty for the data set's own.
    """

    normalizer: str = ""


class HeatmapTask:
    """Finds points in boxes of an image; what landmarks and pose have in common.

    Args:
        model: a landmark or pose model.
        info: names, lines and flip pairs of the points.
        augmentation: how boxes are cut out.
        inference: how heatmaps become points.
        normalization: of images, as the weights were trained.
    """

    Augmentation = AugmentationOptions
    Inference: ClassVar[type] = DecodingOptions
    Loss: ClassVar[type] = NoOptions
    recipe: ClassVar[Mapping[str, Any]] = {}
    pixel_maps = ()
    takes_boxes = True
    finds_objects = False
    scores_classes = False
    few_shapes = False
    picture_kinds: ClassVar[tuple[str, ...]] = ()
    requested_kinds: ClassVar[tuple[str, ...]] = ()
    has_own_size = False
    finds_boxes: ClassVar[bool]
    in_boxes: ClassVar[tuple[str, str]]
    # What the colours of a crop drawn with its truth mean.
    legend: ClassVar[str] = "blue: predicted, pink: true"

    def __init__(
        self,
        model: Model,
        info: DatasetInfo,
        augmentation: AugmentationOptions | None = None,
        inference: Any = None,
        normalization: Normalization = Normalization(),
    ):
        self.model = model
        self._info = info
        self._crops = self.Augmentation() if augmentation is None else augmentation
        self._inference = self.Inference() if inference is None else inference
        self._normalization = normalization

    @property
    def _is_official(self) -> bool:
        return self._crops.compat == "official"

    @staticmethod
    def model_options(info: DatasetInfo) -> dict[str, int]:
        """Options of `create_model` that the data set determines."""
        return {"num_points": len(info.point_names)}

    def to_network(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The crops that the network looks at.

        Args:
            image: uint8 [H, W, 3].
            boxes: [N, 4], (x1, y1, x2, y2) in pixels of the image; None takes the image
                itself as the one crop, in its own size.

        Returns:
            uint8 [N, h, w, 3], and what `to_image` needs.

        Raises:
            DataError: for boxes of another shape, not finite, or of zero size.
        """
        if boxes is None:
            height, width = image.shape[:2]
            whole = np.array([[-0.5, -0.5, width - 0.5, height - 0.5]])
            # To whole cells, or mirrored heatmaps would not match the others.
            missing = ((0, -height % 4), (0, -width % 4), (0, 0))
            return np.pad(image, missing)[None], {"boxes": whole}
        boxes = geometry.checked_boxes(boxes)
        size = self._crops.crop_size
        centers, scales = geometry.box_center_scale(boxes, size, self._crops.margin)
        centers += self._origin
        cut = [self._cut(image, *row) for row in zip(centers, scales, strict=True)]
        crops = np.stack(cut) if cut else np.zeros((0, *size, 3), np.uint8)
        return crops, {"boxes": boxes, "centers": centers, "scales": scales}

    def network_batch(self, images: np.ndarray, crops: Any) -> dict[str, np.ndarray]:
        """The crops alone."""
        return {"image": images}

    @property
    def _origin(self) -> float:
        """Coordinate of the first pixel's centre in the frame of the crops' centres."""
        return 0.0

    def _cut(self, image: np.ndarray, center: np.ndarray, scale: float) -> np.ndarray:
        """The crop of one box, uint8 [h, w, 3]."""
        size = self._crops.crop_size
        matrix = geometry.crop_matrix(center, scale, size)
        return geometry.warp(image, matrix, size)

    def to_image(
        self, predictions: dict[str, np.ndarray], crops: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Predictions for crops, with the points in pixels of the image.

        Returns:
            `points` float32 [N, K, 2], `scores` [N, K], `heatmaps` [N, h, w, K] and
            `boxes` float32 [N, 4].
        """
        points = predictions["points"]
        if "centers" in crops:
            points = self._points_in_image(points, crops["centers"], crops["scales"])
            points = points - self._origin
        return {
            **predictions,
            "points": np.asarray(points, np.float32),
            "boxes": np.asarray(crops["boxes"], np.float32),
        }

    def _points_in_image(
        self, points: np.ndarray, center: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        """Crop pixels [N, K, 2] to the frame of the centres; see `_origin`."""
        return geometry.to_image(points, center, scale, self._crops.crop_size)

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """Heatmaps of crops and their peaks.

        Returns:
            `heatmaps` float32 [B, ceil(h / 4), ceil(w / 4), K], `points` float32
            [B, K, 2] (x, y of each peak in pixels of the crop, pixel centres at
            integers) and `scores` float32 [B, K], the height of the peaks.
        """
        inputs = normalize_images(batch["image"], self._normalization)
        heatmaps: Any = self.model.apply(variables, inputs)
        if self._inference.flip:
            mirrored: Any = self.model.apply(variables, inputs[:, :, ::-1])
            pairs = self._info.point_flip_pairs
            mirrored = mirror_heatmaps(mirrored, pairs, shift=self._shifts_mirrored)
            heatmaps = (heatmaps + mirrored) / 2
        return self.decode({"heatmaps": heatmaps}, size_of(inputs))

    @property
    def _shifts_mirrored(self) -> bool:
        """Whether heatmaps of mirror images move by a column; see `mirror_heatmaps`."""
        return False

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """`heatmaps`, `points` and `scores` of `heatmaps`; see `predict`."""
        heatmaps = outputs["heatmaps"]
        points, scores = self._decoded(heatmaps, size)
        return {"heatmaps": heatmaps, "points": points, "scores": scores}

    def _decoded(
        self, heatmaps: jax.Array, size: tuple[int, int]
    ) -> tuple[jax.Array, jax.Array]:
        """Peaks [B, K, 2] in pixels of crops of this size, and their heights."""
        options = self._inference
        cells, scores = decode(heatmaps, options.decoding, options.dark_sigma)
        return encoding.cells_to_crop(cells, size, size_of(heatmaps)), scores

    def draw(
        self, image: np.ndarray, prediction: dict, target: dict | None = None
    ) -> np.ndarray:
        """The image with points and lines.

        Given is the prediction for an image, as from `to_image`; or that for a crop with
        its `target`, both without an axis of boxes, which gets a second panel with the
        heatmaps, and a legend.
        """
        lines, sides = self._info.point_lines, self._sides
        if target is None:
            shown = {key: prediction[key] for key in ("points", "scores", "boxes")}
            shown["captions"] = self._captions(prediction)
            return draw_points(image, lines=lines, sides=sides, **shown)
        # One crop, without the axis of the boxes.
        picture = draw_points(
            image,
            np.asarray(prediction["points"])[None],
            lines=lines,
            scores=np.asarray(prediction["scores"])[None],
            truth=np.asarray(target["points"])[None],
            truth_mask=np.asarray(target["annotated"])[None],
            sides=sides,
        )
        heat = draw_heatmaps(image, np.asarray(prediction["heatmaps"]))
        return with_caption(side_by_side(picture, heat), (self.legend, _HOLLOW))

    @property
    def _sides(self) -> np.ndarray | None:
        """Side of the body that each point is on, for its colour; see `draw_points`."""
        return None

    def _captions(self, prediction: dict) -> tuple[str, ...]:
        """A text for each box of a prediction for an image."""
        return ()

    def draw_frame(self, image: np.ndarray, prediction: dict) -> np.ndarray:
        """The picture of a prediction in a video, as in a photograph."""
        return self.draw(image, prediction)

    def follow_boxes(self, find: BoxFinder, every: int) -> Follower:
        """Follows what is in boxes by its points; see `tasks.boxes.TakesBoxes`."""
        return Follower(find, every, tight=self._info.tight_boxes)

    def save(
        self, folder: pathlib.Path, name: str, image: np.ndarray, prediction: dict
    ) -> dict:
        """Writes the captioned image with its points; the summary lists them by face."""
        folder.mkdir(parents=True, exist_ok=True)
        picture = with_caption(self.draw(image, prediction), self._caption(prediction))
        write_picture(folder / f"{name}_points.png", picture)
        return self._summary(image, prediction)

    def _summary(self, image: np.ndarray, prediction: dict) -> dict:
        """The points of an image as JSON."""
        keys = ("boxes", "points", "scores")
        rows = zip(*(prediction[key] for key in keys), strict=True)
        return {
            "height": int(image.shape[0]),
            "width": int(image.shape[1]),
            "found": [self._entry(*row) for row in rows],
        }

    def _caption(self, prediction: dict) -> list[str]:
        """How many faces or persons were found, and which points are drawn hollow."""
        scores = np.asarray(prediction["scores"])
        count, points = scores.shape
        one, many = self.in_boxes
        lines = [f"{count} {one if count == 1 else many}, {points} points each"]
        if hollow := int((~(scores >= LOW_SCORE)).sum()):
            lines.append(f"hollow: {hollow} of {scores.size}, peak below {LOW_SCORE}")
        return lines

    def _entry(self, box: np.ndarray, points: np.ndarray, scores: np.ndarray) -> dict:
        """One face or person as JSON."""
        return {
            "box": [round(float(edge), 2) for edge in box],
            "points": [
                {
                    "name": name,
                    "x": round(float(x), 2),
                    "y": round(float(y), 2),
                    "score": round(float(score), 4),
                }
                for name, (x, y), score in zip(
                    self._info.point_names, points, scores, strict=True
                )
            ],
        }
