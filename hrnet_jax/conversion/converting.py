"""Files of weights to networks in memory."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from flax import traverse_util

from hrnet_jax.conversion.facts import WeightsFacts, gather_facts
from hrnet_jax.conversion.labels import known_labels, label_info
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, WeightsError
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.model import Model
from hrnet_jax.pretrained.convert import convert_names, from_torch
from hrnet_jax.pretrained.files import open_weights_file
from hrnet_jax.pretrained.fit import Transfer, check_values, listed, transfer
from hrnet_jax.pretrained.inplace_abn import find_record
from hrnet_jax.pretrained.names import body_scheme
from hrnet_jax.pretrained.scheme import BODY_KIND
from hrnet_jax.pretrained.wrappers import Unwrapped, unwrap
from hrnet_jax.registry import create_model, get_spec
from hrnet_jax.workdir.published import published_variables, read_published


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


@dataclasses.dataclass(frozen=True)
class Converted:
    """A network made of a file.

    Attributes:
        imported: what was decided about the file, and what became of every tensor.
        variables: {"params", "batch_stats"}, NumPy arrays.
        config: for a run that uses them.
        info: classes or points.
    """

    imported: Imported
    variables: dict
    config: ml_collections.ConfigDict
    info: DatasetInfo


def convert_files(
    paths: Sequence[str | os.PathLike], options: ImportOptions = ImportOptions()
) -> Converted:
    """Makes the network of files of PyTorch weights; see `import_weights`.

    Raises:
        HRNetError: if a file is unsafe, damaged, ambiguous, mislabelled or of
            another model, or two have a tensor of one name.
    """
    read = _joined(paths, options.entry)
    tensors, path = read.tensors, " and ".join(os.fspath(each) for each in paths)
    record = find_record(paths[0], tensors, options.record, options.inplace_abn)
    try:
        facts = gather_facts(tensors, record, options)
        facts = dataclasses.replace(facts, remarks=read.remarks)
        if "norm" in facts.options:
            raise ConfigError(
                "model option 'norm' cannot be set: norms are those of the weights"
            )
        norm = NormOptions(momentum=facts.momentum, epsilon=facts.epsilon)
        model = create_model(facts.model, norm=norm, **facts.options)
        variables, moved = _convert(tensors, model, facts, options)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    imported = Imported(facts.model, facts, moved)
    info = _info(facts, model, options.labels)
    return Converted(imported, variables, _config(facts, model), info)


def convert_published(folder: str | os.PathLike) -> Converted:
    """The network of a published run, whose configuration and outputs it says itself.

    Raises:
        HRNetError: if the folder is not as it was written.
    """
    run = read_published(folder)
    variables = published_variables(folder)
    options = run.config["model"]
    facts = WeightsFacts(
        model=options["name"],
        convention="official",
        options=options["options"],
        inplace_abn=False,
        momentum=options["norm_momentum"],
        epsilon=options["norm_epsilon"],
        normalization=read_config(run.config).model.normalization,
        record=run.record,
        remarks=(f"a published run at step {run.step}",),
    )
    kept = tuple(traverse_util.flatten_dict(variables, sep="/"))
    imported = Imported(facts.model, facts, Transfer(kept))
    config = ml_collections.ConfigDict(run.config)
    return Converted(imported, variables, config, run.info)


def _joined(paths: Sequence[str | os.PathLike], entry: str | None) -> Unwrapped:
    """The tensors of all files, which are parts of one network."""
    tensors: dict[str, np.ndarray] = {}
    remarks: list[str] = []
    for path in paths:
        part = open_weights_file(path, keep_counters=True, entry=entry)
        twice = tensors.keys() & part.tensors.keys()
        if twice:
            raise WeightsError(
                f"{path}: another file has tensors of these names too: {listed(twice)}; "
                "expected the parts of one network, such as encoder and decoder"
            )
        tensors |= part.tensors
        remarks += [remark for remark in part.remarks if remark not in remarks]
    return Unwrapped(tensors, tuple(remarks))


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
    dropped = {}
    if model.output_kind == BODY_KIND:
        body = body_scheme(facts.convention)
        heads = [name for name in unwrap(tensors) if not body.from_torch(name)]
        dropped = dict.fromkeys(heads, "of a head")
    return variables, Transfer(kept, dropped=dropped)


def _info(facts: WeightsFacts, model: Model, labels: str) -> DatasetInfo:
    """Names of the outputs: the user's, those of the record's data, or numbers."""
    spec, record = get_spec(facts.model), facts.record
    count = spec.count_outputs(vars(model))
    if not labels and record and record.model == facts.model:
        labels = known_labels(record.data, count)
    return label_info(spec, labels, count)


def _config(facts: WeightsFacts, model: Model) -> ml_collections.ConfigDict:
    """The configuration of a run with this network."""
    spec, record = get_spec(facts.model), facts.record
    config = default_config(spec.name)
    with config.unlocked():
        config.model.name = facts.model
        config.model.norm_momentum = facts.momentum
        config.model.norm_epsilon = facts.epsilon
        config.model.upsample = model.upsample
        config.model.normalization = dataclasses.asdict(facts.normalization)
        fixed = (spec.num_outputs, "upsample")
        cuts_boxes = spec.task is not None and spec.task_class.takes_boxes
        size = record.input_size if record else None
        if cuts_boxes and spec.size_option and size is not None:
            config.dataset.augmentation[spec.size_option] = size
        if record and record.model == facts.model:
            config.update_from_flattened_dict(record.settings)
        config.model.options = {
            key: value for key, value in facts.options.items() if key not in fixed
        }
    return config
