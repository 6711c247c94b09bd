"""Plans a run on TPUs without one: memory, time, hours.

    python scripts/plan.py --config=experiments/segmentation/cityscapes.py:variant=w48 \\
        --topology=v5e:2x4,v5e:4x4 --config.precision=bfloat16

Compiles the experiment's actual train and predict steps for each slice, which takes
minutes, and reports side by side memory, traffic, step time, total hours and their
price by the published figures of the chips. Costs of programs are cached, so the same
command answers at once the next time. Needs libtpu (pip install -e '.[tpu]'), no TPU and no
data. --check measures the same model on this machine instead. See docs/planning.md.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import json
import os
import pathlib
import sys
from typing import Any

from absl import app, flags

from hrnet_jax.config import command_line, experiment_flags
from hrnet_jax.config.picture_files import check_picture_file
from hrnet_jax.errors import ConfigError
from hrnet_jax.storage import paths
from hrnet_jax.whole_files import write_whole

_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "Experiment file, with options after a colon, or config.json of a run.",
)
_TOPOLOGY = flags.DEFINE_string(
    "topology", "", "Slices, such as v5e:2x4,v5e:4x4,v4:2x2x2,v5p:2x2x1,v6e:2x4."
)
_MESH = flags.DEFINE_string(
    "mesh", "", "Lengths of the mesh, such as data:8,space:2 or space:2."
)
_PER_CHIP = flags.DEFINE_integer(
    "per_chip_batch", None, "Images per device and train step, instead of batch_size."
)
_STRICT = flags.DEFINE_boolean(
    "strict", False, "Refuse batches that do not divide over the chips."
)
_EXAMPLES = flags.DEFINE_integer(
    "examples", None, "Number of training examples, where no records are prepared."
)
_OUTPUTS = flags.DEFINE_integer(
    "outputs", None, "Classes or points of a custom data set that is not prepared."
)
_OUT = flags.DEFINE_string("out", "", "JSON file for all figures.")
_PICTURE = flags.DEFINE_string(
    "picture", "", "Picture of the scaling, .png, .svg or .pdf."
)
_CACHE = flags.DEFINE_boolean("cache", True, "Cache the costs of programs.")
_CHECK = flags.DEFINE_boolean(
    "check", False, "Predict and measure a train step on this machine instead."
)


def main(argv: list[str]) -> None:
    """Prints the plans."""
    with command_line.reporting_errors():
        _check_flags()
        # Late: libtpu reads its environment when JAX first loads it.
        sys.stdout.write(_check(argv[1:]) if _CHECK.value else _plans(argv[1:]))


def _check_flags() -> None:
    if _CHECK.value:
        for flag in (_TOPOLOGY, _MESH, _OUT, _PICTURE):
            if flag.value:
                raise ConfigError(f"--{flag.name} does not go with --check")
    elif not _TOPOLOGY.value:
        raise ConfigError("--topology is missing; name slices such as v5e:2x4,v5e:4x4")
    for flag in (_PER_CHIP, _EXAMPLES, _OUTPUTS):
        if flag.value is not None and flag.value < 1:
            raise ConfigError(f"--{flag.name} must be positive, got {flag.value}")
    folder = paths.as_path(_OUT.value).parent
    if _OUT.value and not paths.is_remote(folder) and not folder.is_dir():
        raise ConfigError(f"--out={_OUT.value}: no folder {folder}")
    if _PICTURE.value:
        check_picture_file(_PICTURE.value)


def _config(changes: list[str]) -> Any:
    """The configuration, changed by the command line, with types."""
    from hrnet_jax.experiment.loading import load_config
    from hrnet_jax.experiment.schema import read_config

    config = experiment_flags.with_changes(load_config(_CONFIG.value), changes)
    return read_config(config, trainable=True)


def _plans(changes: list[str]) -> str:
    """Compiles for all slices; the table."""
    import jax

    from hrnet_jax.costs.slices import parse_slices
    from hrnet_jax.planning import drawing, report, topologies
    from hrnet_jax.planning.datasets import facts_of
    from hrnet_jax.planning.plan import PlanOptions, make_plan

    config = _config(changes)
    slices = parse_slices(_TOPOLOGY.value)
    options = PlanOptions(
        mesh=topologies.parse_mesh(_MESH.value) if _MESH.value else {},
        per_device_batch=_PER_CHIP.value,
        strict=_STRICT.value,
        cache=_cache_folder() if _CACHE.value else None,
    )
    facts = facts_of(config, _EXAMPLES.value, _OUTPUTS.value)
    topologies.require_libtpu()
    # Programs are traced here and compiled for elsewhere: no other backend is wanted.
    jax.config.update("jax_platforms", "cpu")
    plans = [make_plan(config, facts, chosen, options) for chosen in slices]
    experiment = f"{config.model.name}, {config.precision}, {_CONFIG.value}"
    data = _data_line(config, facts)
    if _OUT.value:
        text = json.dumps(report.as_json(plans, experiment, data), indent=2)
        write_whole(_OUT.value, text + "\n")
    if _PICTURE.value:
        title = f"{config.model.name}, {config.precision}: train step"
        drawing.draw_scaling(plans, title, paths.as_path(_PICTURE.value))
    return report.format_plans(plans, experiment, data)


def _data_line(config, facts) -> str:
    counts = ", ".join(f"{count} {split}" for split, count in facts.counts.items())
    return f"{config.dataset.name}: {counts or 'sizes unknown'} ({facts.origin})"


def _cache_folder() -> pathlib.Path:
    folder = os.environ.get("HRNET_JAX_CACHE") or "~/.cache/hrnet_jax/xla"
    return pathlib.Path(folder).expanduser() / "plans"


def _check(changes: list[str]) -> str:
    """Predicts and measures a train step on this machine."""
    from hrnet_jax.planning.cross_check import cross_check
    from hrnet_jax.planning.datasets import facts_of

    config = _config(changes)
    facts = facts_of(config, _EXAMPLES.value, _OUTPUTS.value)
    return cross_check(config, facts).text()


if __name__ == "__main__":
    flags.mark_flags_as_required(["config"])
    app.run(main, flags_parser=lambda argv: experiment_flags.parse(argv, __doc__))
