"""Records as examples, where a record holds several of them."""

import os
from typing import Protocol

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.persons.detections import read_boxes
from hrnet_jax.data.persons.view import PersonRecords
from hrnet_jax.data.records import Records
from hrnet_jax.data.stream.grouping import SizedRecords
from hrnet_jax.data.truth import Truth
from hrnet_jax.errors import ConfigError

# `TaskSpec.examples` -> records as such examples.
_VIEWS = {"persons": PersonRecords}


class Examples(SizedRecords, Protocol):
    """The examples of one split, whatever a record holds.

    Attributes:
        name: name of the data set.
        split: the split, as asked for.
        info: facts about the whole data set.
        labelled: whether the examples have labels, all of them.
    """

    name: str
    split: str
    info: DatasetInfo
    labelled: bool


class HasTruth(Protocol):
    """Examples that know all that is annotated in their split."""

    def truth(self) -> Truth:
        """What is annotated, without the images."""
        ...


def as_examples(
    records: Records, kind: str, detections: str | os.PathLike = ""
) -> Examples:
    """The examples of a split.

    Args:
        records: of the split.
        kind: what an example is, see `TaskSpec.examples`; empty for a record.
        detections: file of boxes to look at instead of those that are annotated, as
            COCO's results are; empty for the annotated ones.

    Raises:
        ConfigError: for a file of boxes where examples are no boxes.
        DataError: if the records hold none, or the file is not as expected.
    """
    if not kind:
        if detections:
            raise ConfigError(
                f"{detections}: boxes of a detector are for tasks that look into boxes "
                "(pose); this one looks at whole records"
            )
        return records
    boxes = read_boxes(detections, records.info.point_category) if detections else None
    return _VIEWS[kind](records, boxes)
