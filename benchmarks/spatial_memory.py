"""Memory per device of a train step whose image rows are divided over devices.

    python benchmarks/spatial_memory.py
    python benchmarks/spatial_memory.py --model segmentation/w48 --space 1,8 \\
        --size 1024x2048 --dtype bfloat16 --json spatial_memory.json

One image per step, divided over `mesh.space` devices. The steps are compiled and not
run, so any machine will do: a CPU plays as many devices as needed. What its compiler
keeps at a time is not what a TPU's does (`scripts/plan.py` asks that one); how it
falls with the devices is.
"""

import os
import pathlib
import sys

if __name__ == "__main__":
    # See `compare_torch`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])
    # Read when JAX first looks for devices; means nothing to other backends.
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    )

import argparse
import collections
import time

import jax
import jax.numpy as jnp

from benchmarks.ending import wrong_input_ends
from benchmarks.jax_program import LEARNING_RATE, OPTIMIZER
from benchmarks.reports import provenance, write_report
from benchmarks.timing import Case, parse_case
from hrnet_jax import runtime
from hrnet_jax.config.tables import markdown
from hrnet_jax.costs.collectives import collectives
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.experiment.sections import ScheduleOptions
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.registry import create_model
from hrnet_jax.segmentation.task import SegmentationTask
from hrnet_jax.training.optimizers import make_optimizer
from hrnet_jax.training.schedules import make_schedule
from hrnet_jax.training.state import create_state
from hrnet_jax.training.step import make_train_step

DEFAULT_MODELS = ("segmentation/w18", "segmentation/w48")
CLASSES = 19  # Cityscapes
_EXCHANGES = ("collective-permute", "all-reduce")


def main(argv: list[str] | None = None) -> dict:
    """Compiles what the command line asks for, prints a table and returns the report.

    Raises:
        SystemExit: with code 2 for wrong input.
    """
    options = _parse(argv)
    report = provenance("spatial_memory", sys.argv[1:] if argv is None else argv)
    report |= {"dtype": options.dtype, "cases": []}
    with wrong_input_ends():
        spaces = _numbers(options.space)
        for model in options.model or DEFAULT_MODELS:
            case = parse_case(f"{model}:train:1x{options.size}")
            if case.family != "segmentation":
                raise ValueError(f"--model is {model!r}; expected segmentation/<v>")
            result = {"case": str(case), "spaces": []}
            report["cases"].append(result)
            for space in spaces:
                result["spaces"].append(measure(case, space, options.dtype))
                if options.json:
                    write_report(options.json, report)
            print(f"{case}\n{case_table(result)}\n", flush=True)
    return report


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Memory per device of a train step, by devices per image."
    )
    parser.add_argument(
        "--model",
        action="append",
        help=f"repeatable (default: {' '.join(DEFAULT_MODELS)})",
    )
    parser.add_argument("--size", default="1024x2048", help="HxW in pixels")
    parser.add_argument("--space", default="1,2,4,8", help="values of mesh.space")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--json", help="file to write the results to")
    return parser.parse_args(argv)


def _numbers(text: str) -> list[int]:
    """The numbers of `1,2,4`.

    Raises:
        ValueError: if it is something else.
    """
    parts = text.split(",")
    if not all(part.isdigit() and int(part) for part in parts):
        raise ValueError(f"--space is {text!r}; expected numbers like 1,2,4,8")
    return [int(part) for part in parts]


def measure(case: Case, space: int, dtype: str) -> dict:
    """Compiles one train step.

    Args:
        case: model, and size of the only image.
        space: devices that the image's rows are divided over.
        dtype: compute type of the model.

    Returns:
        `temporary_bytes` and `argument_bytes` (parameters, optimizer, image) of one
        device, `collectives` (kind -> count and bytes of a step), `compile_s`.

    Raises:
        ConfigError: if there are no such models or devices.
    """
    step, arguments = train_step(case, space, dtype)
    start = time.perf_counter()
    # Whole even on one device: pieces would each have a memory of their own.
    _, program = runtime.compile_ahead(step, *arguments, whole=True)
    seconds = time.perf_counter() - start
    memory = program.memory_analysis()
    exchanged: dict[str, dict] = collections.defaultdict(
        lambda: {"count": 0, "bytes": 0}
    )
    for one in collectives(program.as_text()):
        exchanged[one.kind]["count"] += 1
        exchanged[one.kind]["bytes"] += one.bytes
    return {
        "space": space,
        "temporary_bytes": memory.temp_size_in_bytes,
        "argument_bytes": memory.argument_size_in_bytes,
        "collectives": dict(exchanged),
        "compile_s": seconds,
    }


def train_step(case: Case, space: int, dtype: str) -> tuple:
    """The train step of a segmentation run and the shapes of its arguments."""
    mesh = runtime.make_mesh(data=1, space=space)
    names = tuple(str(index) for index in range(CLASSES))
    info = DatasetInfo("classes", CLASSES, names, ((0, 0, 0),) * CLASSES)
    model = create_model(case.model, num_classes=CLASSES, dtype=dtype)
    schedule = make_schedule(
        ScheduleOptions(name="constant", learning_rate=LEARNING_RATE), num_steps=1000
    )
    optimizer = make_optimizer(OPTIMIZER, schedule)
    step = make_train_step(
        SegmentationTask(model, info).loss, optimizer, schedule, mesh
    )
    state = jax.eval_shape(
        lambda variables: create_state(variables, optimizer), variable_shapes(model)
    )
    shape = (case.batch, case.height, case.width)
    batch = {
        "image": jax.ShapeDtypeStruct((*shape, 3), jnp.uint8),
        "label": jax.ShapeDtypeStruct(shape, jnp.int32),
    }

    def on_mesh(leaf: jax.ShapeDtypeStruct, sharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    whole = runtime.replicated(mesh)
    return step, (
        jax.tree.map(lambda leaf: on_mesh(leaf, whole), state),
        {
            key: on_mesh(leaf, runtime.batch_sharding(mesh, leaf.ndim))
            for key, leaf in batch.items()
        },
    )


def case_table(result: dict) -> str:
    """The table of one case."""
    first = result["spaces"][0]
    rows = []
    for one in result["spaces"]:
        exchanged = one["collectives"]
        others = sum(
            entry["bytes"]
            for kind, entry in exchanged.items()
            if kind not in _EXCHANGES
        )
        rows.append(
            [
                str(one["space"]),
                _megabytes(one["temporary_bytes"]),
                f"{one['temporary_bytes'] / first['temporary_bytes']:.3f}",
                _megabytes(one["argument_bytes"]),
                *(
                    _megabytes(exchanged.get(kind, {"bytes": 0})["bytes"])
                    for kind in _EXCHANGES
                ),
                _megabytes(others),
                f"{one['compile_s']:.0f} s",
            ]
        )
    header = [
        "mesh.space",
        "temporary",
        f"to space={first['space']}",
        "arguments",
        "border rows",
        "sums",
        "other exchange",
        "compilation",
    ]
    return markdown(header, rows)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


if __name__ == "__main__":
    main()
