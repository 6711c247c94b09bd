"""Opens the trained network that a task learns from."""

import dataclasses
import logging

from flax import traverse_util

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, HRNetError, WeightsError
from hrnet_jax.experiment.build import build_model
from hrnet_jax.experiment.schema import TrainConfig, read_config
from hrnet_jax.models.folding import as_computed, fold_batch_norm
from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization
from hrnet_jax.pretrained.convert import from_torch
from hrnet_jax.pretrained.files import read_weights_file
from hrnet_jax.pretrained.fit import check_values
from hrnet_jax.pretrained.recognition import recognize
from hrnet_jax.pretrained.sources import Located, locate
from hrnet_jax.registry import create_model, get_task, lanes_for
from hrnet_jax.storage import paths
from hrnet_jax.tasks.protocol import Trains
from hrnet_jax.tasks.teachers import NamesTeacher, learns_from_teacher
from hrnet_jax.training.weights import output_names
from hrnet_jax.workdir.opening import read_run_config
from hrnet_jax.workdir.published import is_published, read_published
from hrnet_jax.workdir.variables import saved_info, saved_variables

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A trained network whose outputs are learned.

    Attributes:
        model: with its norms folded into the convolutions before them.
        variables: of it, in the type that it computes in.
        normalization: of its images.
    """

    model: Model
    variables: dict
    normalization: Normalization


def with_teacher(
    task: Trains, config: TrainConfig, info: DatasetInfo
) -> tuple[Trains, dict]:
    """The task of a run with its teacher, and the teacher's variables.

    Args:
        task: of the run.
        config: of the run; `loss.teacher` names the teacher.
        info: what its outputs have to mean.

    Returns:
        The task as it is and no variables where there is no teacher.

    Raises:
        ConfigError: if the teacher cannot be read, is of another task or has other
            outputs; of a task that does not learn from any.
    """
    if not isinstance(config.loss, NamesTeacher) or not config.loss.teacher:
        return task, {}
    if not learns_from_teacher(task):
        raise ConfigError(
            f"config key 'loss.teacher' is {config.loss.teacher!r}, but "
            f"{config.task} does not learn from a teacher"
        )
    teacher = open_teacher(config, config.loss.teacher, info)
    _log.info("learning from %s", config.loss.teacher)
    return task.with_teacher(teacher.model, teacher.normalization), teacher.variables


def open_teacher(config: TrainConfig, source: str, info: DatasetInfo) -> Teacher:
    """Opens a teacher; see `with_teacher`.

    Its norms are folded, as it is never trained, and its weights have the compute type
    of the run: every device holds them once, beside the weights it trains.
    """
    try:
        located = locate(source)
        with located.naming():
            model, variables, normalization = _read(located, config, info)
        folded, weights = fold_batch_norm(model, variables)
    except HRNetError as error:
        raise ConfigError(f"config key 'loss.teacher': {source}: {error}") from error
    return Teacher(folded, as_computed(weights, folded.dtype), normalization)


def _read(
    source: Located, config: TrainConfig, info: DatasetInfo
) -> tuple[Model, dict, Normalization]:
    """The network as it was trained, with the compute type of the run."""
    if not source.path.is_dir():
        return _of_file(source, config, info)
    path = source.path
    stored = read_published(path).config if is_published(path) else None
    run = read_config(stored or read_run_config(path))
    trained = saved_info(path, "best")
    _check_task(run.model.name, config)
    if output_names(trained) != output_names(info):
        raise WeightsError(
            f"it was trained on the classes of {trained.name!r}, not on those of "
            f"{info.name!r}; expected the same classes in the same order"
        )
    run = dataclasses.replace(run, precision=config.precision)
    variables = saved_variables(path, "best")
    check_values(traverse_util.flatten_dict(variables, sep="/"))
    return build_model(run, trained), variables, run.model.normalization


def _of_file(
    source: Located, config: TrainConfig, info: DatasetInfo
) -> tuple[Model, dict, Normalization]:
    """The network of a file of PyTorch weights, which does not name its classes."""
    with paths.local_file(source.path) as file:
        tensors = read_weights_file(file)
    found = recognize(tensors)
    _check_task(found.model, config)
    wanted = get_task(config.task).model_options(info)
    if differing := [k for k, v in wanted.items() if found.options.get(k) != v]:
        key = differing[0]
        raise WeightsError(
            f"it has {key}={found.options.get(key)}, the data set {info.name!r} has "
            f"{wanted[key]}"
        )
    lanes = lanes_for(found.model, config.precision)
    model = create_model(
        found.model, dtype=config.precision, lanes=lanes, **found.options
    )
    return model, from_torch(tensors, model), Normalization()


def _check_task(model: str, config: TrainConfig) -> None:
    if model.partition("/")[0] != config.task:
        raise WeightsError(f"it is {model}; expected a model of {config.task}")
