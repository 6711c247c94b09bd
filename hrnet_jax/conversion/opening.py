"""Opens what people have to predict with: a work directory, or a file of weights."""

import os
from collections.abc import Sequence

from hrnet_jax.config.assignments import with_overrides
from hrnet_jax.errors import ConfigError, WeightsError
from hrnet_jax.experiment.build import build_for_inference
from hrnet_jax.experiment.defaults import to_json
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.inference import workdir as directories
from hrnet_jax.inference.predictor import Predictor
from hrnet_jax.inference.workdir import LoadedRun
from hrnet_jax.storage import paths

# Of files; a work directory may be called anything.
_ENDINGS = (".bin", ".pt", ".pth", ".safetensors", ".tar")


def load_run(
    workdir: str | os.PathLike,
    step: int | str = "best",
    *,
    pad_multiple: int = 1,
    changes: Sequence[str] = (),
) -> LoadedRun:
    """Opens a run of any number of devices on this machine, or PyTorch weights.

    Args:
        workdir: of a run, or what `scripts/convert.py` made; or a `.pth`, `.pt`,
            `.bin`, `.pth.tar` or `.safetensors` file, which is converted in memory as
            `scripts/convert.py` does without options.
        step: `best` (the newest where none was evaluated), `latest` or a number; a
            file of weights has no steps.
        pad_multiple: see `Predictor`.
        changes: of the run's configuration, `eval.inference.flip=true`.

    Raises:
        CheckpointError: if the directory or the checkpoint cannot be read.
        WeightsError: if the file of weights cannot, or needs options.
        ConfigError: for the number of a step of a file.
    """
    path = paths.as_path(workdir)
    is_file = path.is_file() or (path.suffix in _ENDINGS and not path.is_dir())
    if not is_file:
        return directories.load_run(
            path, step, pad_multiple=pad_multiple, changes=changes
        )
    if step not in ("best", "latest"):
        raise ConfigError(
            f"step {step!r} of {path}: a file of weights has no steps; expected best"
        )
    # Late, as runs need none of it.
    from hrnet_jax.conversion.converting import convert_files

    try:
        with paths.local_file(path) as file:
            converted = convert_files([file])
    except WeightsError as error:
        if "--" not in str(error):
            raise
        raise WeightsError(
            f"{error}; options like that are those of scripts/convert.py, which makes "
            "a work directory to open instead"
        ) from error
    stored = to_json(converted.config)
    config = read_config(with_overrides(stored, list(changes)))
    task = build_for_inference(config, converted.info)
    return LoadedRun(
        config,
        converted.info,
        step=0,
        metrics={},
        variables=converted.variables,
        predictor=Predictor(task, converted.variables, pad_multiple),
        record=converted.imported.facts.record,
    )
