"""Files of weights as code bases publish them, with random weights."""

import functools

import jax
import torch

from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.pretrained import to_torch
from hrnet_jax.registry import create_model

NAME = "segmentation/w18_small_v1"


@functools.cache
def published(name=NAME, convention="official", **options):
    """(model, variables, tensors as a code base names them) with random weights."""
    model = create_model(name, **options)
    variables = jax.device_get(initial_variables(model, 0, "he"))
    return model, variables, to_torch(variables, model, convention=convention)


def write(path, tensors, **extra):
    state = {name: torch.tensor(value) for name, value in tensors.items()}
    torch.save({"state_dict": state, "epoch": 3} | extra, path)
    return path
