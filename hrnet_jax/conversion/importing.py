"""Files of weights to work directories and back."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from hrnet_jax.conversion.facts import WeightsFacts, gather_facts
from hrnet_jax.conversion.labels import known_labels, label_info
from hrnet_jax.conversion.saving import save_converted
from hrnet_jax.errors import CheckpointError, WeightsError
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.model import Model
from hrnet_jax.pretrained.convert import convert_names, from_torch, to_torch
from hrnet_jax.pretrained.files import open_weights_file, write_weights_file
from hrnet_jax.pretrained.fit import Transfer, check_values, transfer
from hrnet_jax.pretrained.inplace_abn import find_record
from hrnet_jax.pretrained.known import RECORD_FILE
from hrnet_jax.pretrained.wrappers import unwrap
from hrnet_jax.registry import create_model, get_spec
from hrnet_jax.workdir.files import write_json


@dataclasses.dataclass(frozen=True)
class ImportOptions:
    """Facts that the user states about a file; None: those of the file or its record.

    Attributes:
        model: for `create_model`.
        record: name of a released file; empty for none.
        labels: names of the outputs; see `labels.label_info`.
        upsample: inside the exchange.
        inplace_abn: trained with InPlaceABN; see `from_torch`.
        options: further attributes of the model.
        partial: take what fits and report the rest.
        seed: of the initial values of what is missing then.
        entry: which of several networks in the file, where it holds the average of
            the weights too, or teacher and student.
    """

    model: str | None = None
    record: str | None = None
    labels: str = ""
    upsample: str | None = None
    inplace_abn: bool | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    partial: bool = False
    seed: int = 0
    entry: str | None = None


@dataclasses.dataclass(frozen=True)
class Imported:
    """Result of an import.

    Attributes:
        model: name of the model.
        facts: everything that was decided about the file, and why.
        moved: what became of every tensor.
    """

    model: str
    facts: WeightsFacts
    moved: Transfer

    def __str__(self) -> str:
        return "\n".join([f"{self.model}: {self.moved}", *self.facts.lines()])


def import_weights(
    path: str | os.PathLike,
    workdir: str | os.PathLike,
    options: ImportOptions = ImportOptions(),
) -> Imported:
    """Turns a file of PyTorch weights into a work directory.

    The model is recognised from the names and shapes of the tensors; what they do
    not tell comes from the record of the file, where its name is known.

    Args:
        path: a `.pth` or `.safetensors` file.
        workdir: a new directory; `load_run` and `model.init_from` open it.
        options: what the user knows better.

    Raises:
        HRNetError: if the file is unsafe, damaged, ambiguous, mislabelled or of
            another model.
    """
    if pathlib.Path(workdir).exists() and any(pathlib.Path(workdir).iterdir()):
        raise CheckpointError(f"{workdir} is not empty; choose a new directory")
    read = open_weights_file(path, keep_counters=True, entry=options.entry)
    tensors = read.tensors
    record = find_record(path, tensors, options.record, options.inplace_abn)
    try:
        facts = gather_facts(tensors, record, options)
        facts = dataclasses.replace(facts, remarks=read.remarks)
        norm = NormOptions(momentum=facts.momentum, epsilon=facts.epsilon)
        model = create_model(facts.model, norm=norm, **facts.options)
        variables, moved = _convert(tensors, model, facts, options)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    _save(path, workdir, facts, model, variables, moved, options.labels)
    return Imported(facts.model, facts, moved)


def export_weights(
    workdir: str | os.PathLike,
    step: int | str,
    path: str | os.PathLike,
    convention: str = "official",
    changes: Sequence[str] = (),
) -> int:
    """Writes a run's weights as a state dict that a PyTorch code base loads.

    Args:
        workdir: of a run.
        step: `best`, `latest` or a number.
        path: of the new file.
        convention: whose names the tensors get.
        changes: of the run's configuration, see `load_run`.

    Returns:
        The number of tensors written.

    Raises:
        WeightsError: if PyTorch is needed and not installed, or the code base has
            no such model.
    """
    run = load_run(workdir, step, changes=changes)
    tensors = to_torch(run.variables, run.task.model, convention=convention)
    write_weights_file(path, tensors)
    return len(tensors)


def _convert(
    tensors: Mapping[str, np.ndarray],
    model: Model,
    facts: WeightsFacts,
    options: ImportOptions,
) -> tuple[dict, Transfer]:
    """Variables of the model, all of the file or what fits of it."""
    if options.partial:
        arrays, unknown = convert_names(tensors, inplace_abn=facts.inplace_abn)
        initial = initial_variables(model, options.seed)
        flat = traverse_util.flatten_dict(initial, sep="/")
        merged, moved = transfer(flat, arrays, unknown)
        return traverse_util.unflatten_dict(merged, sep="/"), moved
    # Before what follows is answered with --partial, which would not help here.
    check_values(unwrap(tensors))
    try:
        variables = from_torch(tensors, model, inplace_abn=facts.inplace_abn)
    except WeightsError as error:
        raise WeightsError(f"{error}; --partial takes what fits") from None
    kept = tuple(traverse_util.flatten_dict(variables, sep="/"))
    return variables, Transfer(kept)


def _save(
    path: str | os.PathLike,
    workdir: str | os.PathLike,
    facts: WeightsFacts,
    model: Model,
    variables: dict,
    moved: Transfer,
    labels: str,
) -> None:
    """Writes the work directory, the record beside the checkpoint."""
    spec, record = get_spec(facts.model), facts.record
    count = spec.count_outputs(vars(model))
    if not labels and record and record.model == facts.model:
        labels = known_labels(record.data, count)
    info = label_info(spec, labels, count)
    config = default_config(spec.name)
    with config.unlocked():
        config.model.name = facts.model
        config.model.norm_momentum = facts.momentum
        config.model.norm_epsilon = facts.epsilon
        config.model.upsample = model.upsample
        config.model.normalization = dataclasses.asdict(facts.normalization)
        fixed = (spec.num_outputs, "upsample")
        if record and spec.task_class.takes_boxes and spec.size_option:
            size = tuple(record.input_size)
            config.dataset.augmentation[spec.size_option] = size
        config.model.options = {
            key: value for key, value in facts.options.items() if key not in fixed
        }
    save_converted(workdir, config, variables, info)
    content = {
        "file": pathlib.Path(path).name,
        "sha256": _checksum(path),
        "model": facts.model,
        "convention": facts.convention,
        "decided": facts.lines(),
        "kept": len(moved.kept),
        "new": list(moved.new),
        "dropped": dict(moved.dropped),
        "record": None if record is None else record.to_json(),
    }
    write_json(pathlib.Path(workdir) / RECORD_FILE, content)


def _checksum(path: str | os.PathLike) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
