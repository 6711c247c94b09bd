"""Names and colours of the outputs of converted weights."""

import pathlib

from hrnet_jax.conversion.output_names import LABEL_NAMES, POINT_LINES, flip_pairs
from hrnet_jax.data.class_tables import CLASS_TABLES
from hrnet_jax.data.files.text_files import read_text
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.custom import pairs_by_side
from hrnet_jax.data.points.point_sets import AFLW, COFW, W300, WFLW, PointSet
from hrnet_jax.data.sources import SOURCES
from hrnet_jax.errors import DataError
from hrnet_jax.tasks.spec import OutputNames, TaskSpec

# Data sets of faces, by the names that records of released files use.
FACES = {"300w": W300, "300wlp": W300, "aflw": AFLW, "cofw": COFW, "wflw": WFLW}
FACES["w300"] = W300  # as the data set is called here
# Annotations that count pixels from one.
_FROM_ONE = (W300, COFW)


def label_info(spec: TaskSpec, labels: str, count: int) -> DatasetInfo:
    """Classes or points for the `count` outputs of a model of a task.

    Args:
        spec: of the task.
        labels: a data set whose classes or points have names here, a text file with
            one name a line, or nothing for numbers.
        count: how many outputs the weights have.

    Raises:
        DataError: if the names are not as many.
    """
    name = pathlib.Path(labels).stem or spec.name
    if not labels or not spec.num_outputs:
        return spec.numbered_info(name, count)
    if spec.output == "point" and labels in FACES:
        outputs = _point_outputs(FACES[labels])
    else:
        outputs = _outputs(labels, spec.output)
    _check_count(labels, spec.output, outputs.names, count)
    return spec.info_of_outputs(name, outputs)


def known_labels(data: str, count: int) -> str:
    """The data set itself if there are names for all its outputs, else nothing."""
    if data in FACES:
        names = FACES[data].names
    elif data in CLASS_TABLES:
        names = tuple(CLASS_TABLES[data])
    else:
        names = LABEL_NAMES.get(data, ())
    return data if len(names) == count else ""


def _point_outputs(points: PointSet) -> OutputNames:
    """A set of facial landmarks, with what its annotations tell as well."""
    facts = {
        "point_origin": float(points in _FROM_ONE),
        "normalizers": points.normalizers,
        "default_normalizer": points.default_normalizer,
        "tight_boxes": points is not AFLW,
    }
    return OutputNames(
        points.names, flip_pairs=points.flip_pairs, lines=points.lines, facts=facts
    )


def _outputs(labels: str, what: str) -> OutputNames:
    """The outputs that a data set or a text file names."""
    path = pathlib.Path(labels)
    if labels in LABEL_NAMES:
        lines = POINT_LINES.get(labels, ())
        return OutputNames(
            LABEL_NAMES[labels], flip_pairs=flip_pairs(labels), lines=lines
        )
    if labels in CLASS_TABLES:
        table = CLASS_TABLES[labels]
        pairs = pairs_by_side(tuple(table))
        return OutputNames(
            tuple(table), palette=tuple(table.values()), flip_pairs=pairs
        )
    if labels in SOURCES:
        raise DataError(f"the data set {labels!r} has no fixed classes")
    if path.is_file():
        rows = read_text(path).splitlines()
        names = tuple(row.strip() for row in rows if row.strip())
        return OutputNames(names, flip_pairs=pairs_by_side(names))
    raise DataError(
        f"{labels}: neither a file of {what} names nor one of the data sets "
        f"{', '.join(sorted({*SOURCES, *LABEL_NAMES, *FACES}))}"
    )


def _check_count(labels: str, what: str, names: tuple[str, ...], count: int) -> None:
    if len(names) != count:
        plural = what + ("es" if what.endswith("s") else "s")
        raise DataError(
            f"{labels} names {len(names)} {plural}, the weights have {count}"
        )
