"""How bright an image is: a whole task in a folder of its own.

The test copies this folder out of the project, where it is a package `brightness`.
"""

from brightness.model import BrightnessHRNet
from brightness.task import BrightnessTask

from hrnet_jax.tasks.spec import TaskSpec

SPEC = TaskSpec(
    name="brightness",
    models={"": BrightnessHRNet},
    task=BrightnessTask,
    trainable=True,
    default_size=(64, 64),
    output_name="brightness",
    size_option="crop_size",
)
