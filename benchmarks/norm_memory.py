"""Memory that the forward pass keeps for the backward pass, by the mode of the norms.

    python benchmarks/norm_memory.py
    python benchmarks/norm_memory.py --model segmentation/w48 --size 1x512x1024
    python benchmarks/norm_memory.py --model detection/faster_rcnn_w32 --size 1x800x1344

Counted are the arrays that `jax.vjp` hands from one to the other when all parameters
are differentiated; of a detector with all of its losses. Nothing is computed or compiled, so any machine will do; a
compiler may keep less.
"""

import pathlib
import sys

if __name__ == "__main__":
    # See `compare_torch`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

import argparse

import jax

from benchmarks.detector_work import detector_loss
from benchmarks.ending import wrong_input_ends
from benchmarks.jax_program import make_batch
from benchmarks.timing import Case, parse_case
from hrnet_jax.config.tables import markdown
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.registry import create_model

_DTYPES = ("float32", "bfloat16")


def main(argv: list[str] | None = None) -> None:
    """Prints the table.

    Raises:
        SystemExit: with code 2 for wrong input.
    """
    parser = argparse.ArgumentParser(
        description="Memory kept for the backward pass, by the mode of the norms."
    )
    parser.add_argument("--model", default="pyramid/w32")
    parser.add_argument("--size", default="2x800x1344", help="BxHxW: images, pixels")
    options = parser.parse_args(argv)
    with wrong_input_ends():
        case = parse_case(f"{options.model}:train:{options.size}")
        rows = [
            [
                mode,
                *(f"{kept_bytes(case, mode, dtype) / 1e9:.2f} GB" for dtype in _DTYPES),
            ]
            for mode in ("batch", "frozen")
        ]
    print(markdown(["model.norm", *_DTYPES], rows))


def kept_bytes(case: Case, mode: str, dtype: str) -> int:
    """Bytes that the forward pass of training keeps, parameters among them.

    Args:
        case: model, and number and size of the images.
        mode: of the norms, `batch` or `frozen`.
        dtype: compute type of the model.

    Raises:
        ConfigError: if there are no such models, modes or types.
    """
    model = create_model(case.model, norm=mode, dtype=dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))

    def kept(variables, batch, key):
        def forward(params):
            whole, rngs = variables | {"params": params}, {"dropout": key}
            if case.family == "detection":
                # Most of a detector is in its losses.
                return detector_loss(model)(whole, batch, rngs)
            return model.apply(
                whole, batch["image"], train=True, mutable=["batch_stats"], rngs=rngs
            )

        return jax.vjp(forward, variables["params"], has_aux=True)[1]

    batch = make_batch(case, model)
    arrays = jax.eval_shape(kept, dict(variable_shapes(model)), batch, key)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays))


if __name__ == "__main__":
    main()
