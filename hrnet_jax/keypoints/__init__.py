"""Key points as peaks of heatmaps: facial landmarks and human pose."""

import functools

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.keypoints.model import LandmarkHRNet, PoseHRNet
from hrnet_jax.tasks.spec import OutputNames, TaskSpec


def info_of_points(name: str, outputs: OutputNames) -> DatasetInfo:
    """A data set that is annotated with these points."""
    return DatasetInfo(
        name,
        0,
        (),
        (),
        point_names=outputs.names,
        point_flip_pairs=outputs.flip_pairs,
        point_lines=outputs.lines,
        **outputs.facts,
    )


_heatmap_task = functools.partial(
    TaskSpec,
    num_outputs="num_points",
    output="point",
    output_name="heatmaps",
    size_option="crop_size",
    info_of_outputs=info_of_points,
)

LANDMARKS = _heatmap_task(
    name="landmarks",
    models={"": LandmarkHRNet},
    task="hrnet_jax.keypoints.landmarks:LandmarkTask",
    trainable=True,
    data="points",
    default_size=(256, 256),
    reports=("errors",),
)

POSE = _heatmap_task(
    name="pose",
    models={"": PoseHRNet},
    task="hrnet_jax.keypoints.pose:PoseTask",
    trainable=True,
    data="persons",
    examples="persons",
    default_size=(256, 192),
)
