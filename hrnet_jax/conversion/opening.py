"""Opens what people have to predict with: a work directory, weights, or their name."""

import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hrnet_jax.config.assignments import with_overrides
from hrnet_jax.errors import ConfigError, WeightsError
from hrnet_jax.experiment.build import build_for_inference
from hrnet_jax.experiment.defaults import to_json
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.inference import workdir as directories
from hrnet_jax.inference.predictor import Predictor
from hrnet_jax.inference.workdir import LoadedRun
from hrnet_jax.pretrained import hub
from hrnet_jax.pretrained.sources import Located, is_address, is_hub_name, locate
from hrnet_jax.registry import model_class
from hrnet_jax.storage import paths
from hrnet_jax.workdir.opening import read_run_config
from hrnet_jax.workdir.published import (
    check_step,
    is_published,
    published_variables,
    read_published,
)
from hrnet_jax.workdir.variables import Trained

if TYPE_CHECKING:
    from hrnet_jax.conversion.converting import Converted

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


def open_to_evaluate(
    source: str | os.PathLike, step: int | str, changes: Sequence[str]
) -> tuple[dict[str, Any], pathlib.Path | Trained]:
    """Opens what `load_run` opens, for `training.evaluate.evaluators_of_run`.

    Args:
        source: as for `load_run`. A run says what it was evaluated on; PyTorch weights do
            not, so `changes` have to.
        step: as for `load_run`.
        changes: of the configuration, `dataset.data_dir=/data`.

    Returns:
        The configuration with these changes, as JSON values, and the work directory or
        the weights.

    Raises:
        HRNetError: as `load_run`; a `ConfigError` for PyTorch weights without the name of
            a data set.
    """
    # Before gigabytes come; of a repository only what is in it tells.
    if names_one_file(source):
        _check_names_data(os.fspath(source), changes)
    located = locate(source)
    with located.naming():
        path = located.path
        if is_weights_file(path):
            _check_names_data(located.given, changes)
            _check_no_step(path, step)
            converted = _convert(located)
            config = with_overrides(to_json(converted.config), list(changes))
            variables = converted.variables
            return config, Trained(located.given, converted.info, lambda: variables)
        config = with_overrides(read_run_config(path), list(changes))
        if not is_published(path):
            return config, path
        run = read_published(path)
        check_step(run, step, path)

    def read() -> dict:
        with located.naming():
            return published_variables(path)

    return config, Trained(located.given, run.info, read)


def is_weights_file(path: str | os.PathLike) -> bool:
    """Whether a path is that of a file, or has the name of one and is no folder."""
    place = paths.as_path(path)
    return place.is_file() or (place.suffix in _ENDINGS and not place.is_dir())


def names_one_file(source: str | os.PathLike) -> bool:
    """Whether a source is certainly a file of weights, and neither a run nor one of it."""
    if is_hub_name(source):
        return bool(hub.parse(os.fspath(source)).file)
    return is_address(source) or is_weights_file(source)


def _check_names_data(source: str, changes: Sequence[str]) -> None:
    if not any(change.startswith("dataset.name=") for change in changes):
        raise ConfigError(
            f"{source}: weights do not say which data to evaluate on; expected "
            "--config.dataset.name=NAME and --config.dataset.data_dir=FOLDER"
        )


def _check_no_step(path: pathlib.Path, step: int | str) -> None:
    if step not in ("best", "latest"):
        raise ConfigError(
            f"step {step!r} of {path}: a file of weights has no steps; expected best"
        )


def _convert(source: Located) -> "Converted":
    """The network of a file of weights, as `scripts/convert.py` makes it."""
    # Late, as runs need none of it.
    from hrnet_jax.conversion.converting import ImportOptions, convert_files

    try:
        with paths.local_file(source.path) as file:
            return convert_files([file], ImportOptions(record=source.record))
    except WeightsError as error:
        if "--" not in str(error):
            raise
        raise WeightsError(
            f"{error}; options like that are those of scripts/convert.py, which makes "
            "a work directory to open instead"
        ) from error


def _open(
    source: Located, step: int | str, pad_multiple: int, changes: Sequence[str]
) -> LoadedRun:
    path = source.path
    if not is_weights_file(path):
        return directories.load_run(
            path, step, pad_multiple=pad_multiple, changes=changes
        )
    _check_no_step(path, step)
    converted = _convert(source)
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
