"""Classes, points and sizes of data sets for plans, prepared or not."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from hrnet_jax.data.info import DatasetInfo, load_info
from hrnet_jax.data.persons.items import PersonSplits
from hrnet_jax.data.persons.source import PersonSource
from hrnet_jax.data.points.source import LandmarkSource, SplitItems
from hrnet_jax.data.records import find_prepared, prepared_directory
from hrnet_jax.data.sources import SOURCES, source_class
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.registry import get_spec, get_task
from hrnet_jax.storage.paths import is_remote
from hrnet_jax.training.build import evaluated_splits, open_split


@dataclasses.dataclass(frozen=True)
class DatasetFacts:
    """A data set as far as a plan needs it.

    Attributes:
        info: classes or points, and for segmentation the largest image of a split.
        counts: split -> number of examples, as far as known.
        origin: where the counts come from, for the report.
        train_sizes: int [N, 2], (height, width) of the training images, where the task
            groups images and the records are at hand; without, epochs are counted as
            if all images were of one group.
    """

    info: DatasetInfo
    counts: Mapping[str, int]
    origin: str
    train_sizes: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class PublishedSet:
    """Sizes of a data set according to its publication.

    Attributes:
        counts: split -> number of images, faces or persons.
        size: (height, width) of all images, where they have one.
        source: where that is written.
    """

    counts: Mapping[str, int]
    source: str
    size: tuple[int, int] | None = None


_CONTEXT = PublishedSet(
    {"train": 4998, "val": 5105, "trainval": 10103}, "Mottaghi et al., CVPR 2014"
)
PUBLISHED = {
    "cityscapes": PublishedSet(
        {
            "train": 2975,
            "val": 500,
            "test": 1525,
            "trainval": 3475,
            "train_extra": 19998,
            "train_and_extra": 22973,
            "train_coarse": 2975,
            "val_coarse": 500,
        },
        "Cordts et al., CVPR 2016",
        (1024, 2048),
    ),
    "lip": PublishedSet(
        {"train": 30462, "val": 10000, "test": 10000, "trainval": 40462},
        "Gong et al., CVPR 2017",
    ),
    "pascal_context_59": _CONTEXT,
    "pascal_context_60": _CONTEXT,
    "ade20k": PublishedSet(
        {"train": 20210, "val": 2000, "test": 3352, "trainval": 22210},
        "Zhou et al., CVPR 2017, the scene parsing challenge",
    ),
    "coco_stuff_10k": PublishedSet(
        {"train": 9000, "val": 1000, "trainval": 10000},
        "github.com/nightrome/cocostuff10k, version 1.1",
    ),
    "coco_stuff_164k": PublishedSet(
        {"train": 118287, "val": 5000, "test": 40670, "trainval": 123287},
        "Caesar et al., CVPR 2018, on the images of COCO 2017",
    ),
    "voc2012": PublishedSet(
        {
            "train": 1464,
            "val": 1449,
            "test": 1456,
            "trainval": 2913,
            "train_aug": 10582,
        },
        "Everingham et al., IJCV 2015; train_aug by Hariharan et al., ICCV 2011",
    ),
    "camvid": PublishedSet(
        {"train": 367, "val": 101, "test": 233},
        "Badrinarayanan et al., SegNet, 2017",
        (360, 480),
    ),
    "w300": PublishedSet(
        {"train": 3148, "common": 554, "challenge": 135, "full": 689, "test": 600},
        "Sagonas et al., 2016, and the HRNet paper, section 6",
    ),
    "wflw": PublishedSet({"train": 7500, "test": 2500}, "Wu et al., CVPR 2018"),
    "cofw": PublishedSet({"train": 1345, "test": 507}, "Burgos-Artizzu et al., 2013"),
    "aflw": PublishedSet(
        {"train": 20000, "test": 4386, "frontal": 1314}, "Zhu et al., CVPR 2016"
    ),
    "imagenet": PublishedSet(
        {"train": 1281167, "val": 50000}, "Russakovsky et al., IJCV 2015"
    ),
    # Of the training images 117266 show an object, which are trained on.
    "coco_detection": PublishedSet(
        {"train": 118287, "train_with_objects": 117266, "val": 5000, "test": 20288},
        "cocodataset.org, the division of 2017; test is test-dev",
    ),
    # Persons with joints; in images: 118287 and 5000.
    "coco_keypoints": PublishedSet(
        {"train": 149813, "val": 6352},
        "cocodataset.org, the division of 2017, as HRNet counts persons",
    ),
    "mpii": PublishedSet(
        {"train": 22246, "val": 2958}, "Andriluka et al., CVPR 2014, HRNet's lists"
    ),
    "lsp": PublishedSet({"train": 1000, "test": 1000}, "Johnson et al., BMVC 2010"),
}


def facts_of(
    config: TrainConfig, examples: int | None = None, outputs: int | None = None
) -> DatasetFacts:
    """Facts of the data set of a configuration.

    The prepared records tell everything. Without them: a generated set is as large as
    its default options make it, and of known sets the published sizes are taken.

    Args:
        config: of the run.
        examples: size of the training split, where records do not tell.
        outputs: classes or points, for a data set of the user that is not prepared.

    Raises:
        ConfigError: if something is missing, naming the flag that gives it.
        DataError: if prepared records lack a split.
    """
    name = config.dataset.name
    if not name:
        raise ConfigError("config key 'dataset.name' is empty; name a data set")
    if find_prepared(name, config.dataset.data_dir) is not None:
        return _prepared(config)
    facts = _unprepared(config, outputs)
    if examples is not None:
        counts = {**facts.counts, config.dataset.train_split: examples}
        facts = DatasetFacts(facts.info, counts, f"--examples={examples}")
    if config.num_steps < 1 and config.dataset.train_split not in facts.counts:
        raise ConfigError(
            f"data set {name!r} is not prepared in {config.dataset.data_dir} and the "
            f"size of its split {config.dataset.train_split!r} is not published: give "
            "--examples=N, the number of training examples"
        )
    return facts


def _prepared(config: TrainConfig) -> DatasetFacts:
    """What records tell; of those in a bucket, without a copy, what is said of them."""
    dataset = config.dataset
    if is_remote(dataset.data_dir):
        info = load_info(prepared_directory(dataset.name, dataset.data_dir))
        names = (dataset.train_split, *evaluated_splits(config))
        told = info.persons or info.counts
        if told.keys() >= set(names):
            counts = {name: told[name] for name in names}
            return DatasetFacts(info, counts, f"the records in {dataset.data_dir}")
    splits = {
        split: open_split(config, split)
        for split in (config.dataset.train_split, *evaluated_splits(config))
    }
    counts = {split: len(records) for split, records in splits.items()}
    train = splits[config.dataset.train_split]
    groups = getattr(get_task(config.task), "groups_images", False)
    return DatasetFacts(
        train.info,
        counts,
        f"the records in {config.dataset.data_dir}",
        train.image_sizes() if groups else None,
    )


def _unprepared(config: TrainConfig, outputs: int | None) -> DatasetFacts:
    name = config.dataset.name
    generated = name in SOURCES and not source_class(name).needs_source
    if name not in PUBLISHED and not generated:
        return _custom(config, outputs)
    cls = source_class(name)
    source = cls(None, cls.Options())
    if generated:
        info, side = source.info(name), source.options.image_size
        stored = {split: len(items) for split, items in source.splits().items()}
        # Of images with several persons these are the examples.
        counts = {k: count for k, count in (info.persons or stored).items() if count}
        return _facts(info, counts, (side, side), "the default options of the set")
    # Names, pairs and normalisers belong to the class; files would only tell the splits.
    published = PUBLISHED[name]
    nobody: dict[str, tuple] = dict.fromkeys(published.counts, ())
    if isinstance(source, LandmarkSource):
        source.contents = SplitItems(nobody)
    if isinstance(source, PersonSource):
        source.contents = PersonSplits(nobody)
    return _facts(
        source.info(name),
        published.counts,
        published.size,
        f"published: {published.source}",
    )


def _facts(
    info: DatasetInfo,
    counts: Mapping[str, int],
    size: tuple[int, int] | None,
    origin: str,
) -> DatasetFacts:
    sizes = dict.fromkeys(counts, size) if size else {}
    info = dataclasses.replace(info, counts=counts, max_size=sizes, min_size=sizes)
    return DatasetFacts(info, counts, origin)


def _custom(config: TrainConfig, outputs: int | None) -> DatasetFacts:
    """A custom data set, whose sizes are unknown."""
    name = config.dataset.name
    if outputs is None:
        raise ConfigError(
            f"data set {name!r} is neither prepared nor one of "
            f"{', '.join(sorted(PUBLISHED))}: prepare it, or give --outputs=N, its "
            "number of classes or points"
        )
    if outputs < 1:
        raise ConfigError(f"--outputs must be positive, got {outputs}")
    info = get_spec(config.task).numbered_info(name, outputs)
    return DatasetFacts(info, {}, "nothing")
