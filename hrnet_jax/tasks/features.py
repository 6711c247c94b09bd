"""Networks without a head, which no task of this package reads by themselves."""

from hrnet_jax.models.hrnet import HRNet
from hrnet_jax.tasks.spec import TaskSpec

SPEC = TaskSpec(
    name="features",
    models={"": HRNet},
    task=None,
    default_size=(224, 224),
    output_name="features",
)
