"""Opens what people have to predict with: a work directory, weights, or their name."""

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
from hrnet_jax.pretrained.sources import Located, locate
from hrnet_jax.registry import model_class
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
            `scripts/convert.py` does without options; or the `https://` address of one,
            or `hf://OWNER/NAME[@REVISION][/FILE]` on the hub.
        step: `best` (the newest where none was evaluated), `latest` or a number; a
            file of weights has no steps.
        pad_multiple: see `Predictor`.
        changes: of the run's configuration, `eval.inference.flip=true`.

    Raises:
        CheckpointError: if the directory or the checkpoint cannot be read.
        WeightsError: if the file of weights cannot, or needs options.
        ConfigError: for the number of a step of a file.
    """
    source = locate(workdir)
    with source.naming():
        return _open(source, step, pad_multiple, changes)


def load_pretrained(
    model: str,
    source: str | os.PathLike,
    *,
    pad_multiple: int = 1,
) -> Predictor:
    """Opens weights that are expected to be those of a model.

        predictor = load_pretrained("segmentation/w48", "hf://OWNER/NAME")
        prediction = predictor.predict("street.jpg")

    Args:
        model: `segmentation/w48`, as `create_model` names it.
        source: what `load_run` opens.
        pad_multiple: see `Predictor`.

    Raises:
        HRNetError: what `load_run` raises; a `WeightsError` if the weights, or the
            configuration beside them, are of another model.
    """
    model_class(model)  # a name that does not exist has an error of its own
    run = load_run(source, pad_multiple=pad_multiple)
    found = run.config.model.name
    if found != model:
        raise WeightsError(f"{source}: these are weights of {found}, expected {model}")
    return run.predictor


def _open(
    source: Located, step: int | str, pad_multiple: int, changes: Sequence[str]
) -> LoadedRun:
    path = source.path
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
    from hrnet_jax.conversion.converting import ImportOptions, convert_files

    try:
        with paths.local_file(path) as file:
            converted = convert_files([file], ImportOptions(record=source.record))
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
