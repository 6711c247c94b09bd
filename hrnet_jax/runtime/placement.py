"""Values on all devices of a mesh."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from hrnet_jax.runtime.mesh import replicated


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a tree whole onto every device of a mesh.

    All processes must pass equal values.
    """
    whole = replicated(mesh)
    if jax.process_count() == 1:
        return jax.device_put(tree, whole)

    # `device_put` would compare every leaf among all processes.
    def put(leaf: Any) -> jax.Array:
        values = np.asarray(leaf)
        return jax.make_array_from_callback(
            values.shape, whole, lambda index: values[index]
        )

    return jax.tree.map(put, tree)
