"""Feature pyramids, what detectors read."""

from hrnet_jax.detection.model import PyramidHRNet
from hrnet_jax.tasks.spec import TaskSpec

PYRAMID = TaskSpec(
    name="pyramid",
    models={"": PyramidHRNet},
    task="hrnet_jax.detection.task:PyramidTask",
    default_size=(800, 1344),
)
