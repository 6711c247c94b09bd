"""Records of images as examples of persons: those that are annotated, or given boxes."""

import threading
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from hrnet_jax.data.beside import places_in
from hrnet_jax.data.info import ANNOTATIONS_FILE, PERSONS_FILE, DatasetInfo
from hrnet_jax.data.persons.annotations import PERSON_SHAPES, read_annotations
from hrnet_jax.data.persons.detections import Boxes
from hrnet_jax.data.persons.items import area_of
from hrnet_jax.data.records import Records
from hrnet_jax.data.truth import Persons, Truth
from hrnet_jax.errors import DataError

_OF_PERSONS = ("points", "visible", "annotated")


class PersonRecords(Sequence):
    """The persons of a split, one example each.

    An example holds `image` uint8 [H, W, 3], which must not be changed; `image_id`, the
    name of the image with `#` and the number of the person; `points` float64 [K, 2] in
    the frame of the files (`DatasetInfo.point_origin`); `visible` and `annotated` uint8
    [K]; `box` float64 [4], (x1, y1, x2, y2) in that frame; `area`, `head_size` (0 where
    it is not known) and `box_score` float64; `image_number` and `person_number` int64.
    Reading is safe from several threads, and worker processes can use it.

    Attributes:
        name: name of the data set.
        split: the split, as asked for.
        info: facts about the whole data set.
        labelled: as of the records.
    """

    def __init__(self, records: Records, boxes: Boxes | None = None) -> None:
        """Finds the persons of the records.

        Args:
            records: of a set whose records are images with persons.
            boxes: to look at instead of those that are annotated.

        Raises:
            DataError: if the set is of another kind, the split has no persons, or there
                are no boxes in its images.
        """
        self.name, self.split = records.name, records.split
        self.info: DatasetInfo = records.info
        self.labelled = records.labelled
        self._records = records
        self._boxes = boxes
        # The last image of each thread: persons of one image are often asked for in turn.
        self._last = threading.local()
        if boxes is None:
            self._places = _annotated_places(records)
            if not len(self._places):
                raise DataError(
                    f"split {self.split!r} of data set {self.name!r} has no person with "
                    "points and a box; boxes to look at can be given (--detections)"
                )
        else:
            numbers, known = _annotations(records)[1], _known_numbers(records)
            self._rows = boxes.of(numbers, known, self.split)
            self._places = _numbered_in_turn(self._rows[0])

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """The example at `index`; negative indices count from the end.

        Raises:
            IndexError: if there is no such example.
            DataError: naming the file, if it is damaged or an image does not decode.
        """
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"person {index} of {len(self)}")
        record, place = (int(number) for number in self._places[at])
        sample = self._image(record)
        example = {
            "image": sample["image"],
            "image_id": f"{sample['image_id']}#{place + 1}",
            "image_number": np.int64(sample["image_number"]),
        }
        if self._boxes is not None:
            _, box, score = self._rows
            return example | self._given(box[at], score[at])
        return example | {
            **{key: sample[key][place].copy() for key in _OF_PERSONS},
            "box": sample["person_boxes"][place].copy(),
            "area": np.float64(sample["person_area"][place]),
            "head_size": np.float64(sample["head_size"][place]),
            "box_score": np.float64(1),
            "person_number": np.int64(sample["person_number"][place]),
        }

    def __reduce__(self) -> tuple:
        return PersonRecords, (self._records, self._boxes)

    def __repr__(self) -> str:
        return f"PersonRecords({self.name!r}, {self.split!r}, {len(self)} persons)"

    def image_sizes(self) -> np.ndarray:
        """Height and width of the image of every example, int32 [N, 2]."""
        return self._records.image_sizes()[self._places[:, 0]]

    def truth(self) -> Truth:
        """All that is annotated in the split, without reading images.

        Raises:
            DataError: if a file beside the records is missing or damaged.
        """
        names, numbers, first, persons = _annotations(self._records)
        image, place = self._places[:, 0], self._places[:, 1]
        if self._boxes is None:
            person = first[image] + place
            box, score = persons.pop("box")[person], np.ones(len(image))
        else:
            person = np.full(len(image), -1)
            _, box, score = self._rows
            del persons["box"]
        return Truth(
            examples=tuple(
                f"{names[a]}#{b + 1}" for a, b in zip(image, place, strict=True)
            ),
            image=image.astype(np.int32),
            person=person.astype(np.int32),
            box=box,
            box_score=score,
            image_names=names,
            image_numbers=numbers,
            persons=Persons(**persons),
        )

    def _image(self, record: int) -> dict[str, Any]:
        known = getattr(self._last, "sample", None)
        if known is None or known[0] != record:
            known = record, self._records[record]
            self._last.sample = known
        return known[1]

    def _given(self, box: np.ndarray, score: float) -> dict[str, Any]:
        """What is known of a box that was given."""
        count = len(self.info.point_names)
        return {
            "points": np.zeros((count, 2)),
            "visible": np.zeros(count, np.uint8),
            "annotated": np.zeros(count, np.uint8),
            "box": box.copy(),
            "area": np.float64(area_of(box)),
            "head_size": np.float64(0),
            "box_score": np.float64(score),
            "person_number": np.int64(0),
        }


def holds_persons(info: DatasetInfo) -> bool:
    """Whether the records of a set are images with persons."""
    return bool(info.persons)


def _check_kind(records: Records) -> None:
    if not holds_persons(records.info):
        raise DataError(
            f"data set {records.name!r} has no persons with points; prepare one of "
            "coco_keypoints, keypoints_coco, mpii and lsp (docs/data.md)"
        )


def _annotated_places(records: Records) -> np.ndarray:
    """Record, and place in it, of all persons to learn from, int64 [N, 2].

    In the order of the records, which may be a part of a stored split, or several.
    """
    _check_kind(records)
    placed = records.places()
    names = np.array([split for split, _ in placed])
    indices = np.array([index for _, index in placed], np.int64)
    found = []
    for split in np.unique(names):
        count = records.info.counts[str(split)]
        path = records.directory / PERSONS_FILE.format(split=split)
        places = places_in(path, count)
        places = places[np.argsort(places[:, 0], kind="stable")]
        starts = np.searchsorted(places[:, 0], np.arange(count + 1))
        positions = np.flatnonzero(names == split)
        first, end = starts[indices[positions]], starts[indices[positions] + 1]
        rows = np.repeat(first, end - first) + _counted_up(end - first)
        found.append(np.stack([np.repeat(positions, end - first), places[rows, 1]], 1))
    every = np.concatenate(found).astype(np.int64)
    return every[np.argsort(every[:, 0], kind="stable")]


def _counted_up(counts: np.ndarray) -> np.ndarray:
    """0, 1, ... up to each count, one behind the other."""
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) - np.repeat(before, counts)


def _stored(records: Records, split: str) -> dict[str, np.ndarray]:
    """The file of annotations of a stored split."""
    path = records.directory / ANNOTATIONS_FILE.format(split=split)
    info = records.info
    return read_annotations(path, len(info.point_names), info.counts[split])


def _known_numbers(records: Records) -> np.ndarray:
    """Ids of all images of the stored splits that records are of."""
    splits = {split for split, _ in records.places()}
    return np.concatenate([_stored(records, s)["image_number"] for s in sorted(splits)])


def _annotations(
    records: Records,
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What is annotated in the images of records.

    Returns:
        Names of the R images, their numbers int64 [R], for each the row of its first
        person int64 [R], and of all their M persons the arrays of `Persons`, and `box`.
    """
    _check_kind(records)
    stored: dict[str, dict[str, np.ndarray]] = {}
    names, numbers, rows, sources = [], [], [], []
    for split, index in records.places():
        if split not in stored:
            stored[split] = _stored(records, split)
        arrays = stored[split]
        names.append(str(arrays["image_id"][index]))
        numbers.append(arrays["image_number"][index])
        rows.append(np.arange(*arrays["first"][index : index + 2]))
        sources.append(split)
    counts = np.array([len(each) for each in rows])
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    persons = {"image": np.repeat(np.arange(len(rows)), counts).astype(np.int32)}
    for key in PERSON_SHAPES:
        persons[key] = np.concatenate(
            [
                stored[split][key][each]
                for split, each in zip(sources, rows, strict=True)
            ]
        )
    return tuple(names), np.array(numbers, np.int64), first, persons


def _numbered_in_turn(records: np.ndarray) -> np.ndarray:
    """Record and number within it, int64 [N, 2], of sorted records [N]."""
    starts = np.searchsorted(records, records)
    return np.stack([records, np.arange(len(records)) - starts], 1).astype(np.int64)
