"""Damaged files of points: every reader raises nothing but errors of its own."""

import io
import random

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import strategies as st

from hrnet_jax.data.points import hrnet_csv
from hrnet_jax.data.sources import cofw, w300, wflw
from hrnet_jax.data.sources.landmarks_coco import LandmarksCOCO, LandmarksCOCOOptions
from hrnet_jax.data.sources.landmarks_csv import LandmarksCSV, LandmarksCSVOptions
from hrnet_jax.keypoints import cofw68
from tests import damage
from tests.data.landmark_files import (
    official_header,
    official_row,
    random_points,
    write_image,
)
from tests.data.matlab_files import annotation_of, image_of, write_matlab
from tests.foreign import COUNTS, only_our_errors

pytestmark = pytest.mark.parametrize("count", COUNTS)

COCO = {
    "info": {},
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 40, "height": 32},
        {"id": 2, "file_name": "b.jpg"},
    ],
    "categories": [
        {"id": 1, "name": "hand", "keypoints": ["l", "r"], "skeleton": [[1, 2]]},
        {"id": 2, "name": "face"},
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "keypoints": [5, 6.5, 2, 20, 21, 1],
            "num_keypoints": 2,
            "bbox": [4, 5, 20, 24.5],
            "iscrowd": 0,
        },
        {"id": 2, "image_id": 2, "category_id": 1, "keypoints": [5, 6, 2, 0, 0, 0]}
        | {"bbox": [1, 2, 9, 9]},
        {"id": 3, "image_id": 2, "category_id": 2, "bbox": [1, 2, 3, 4]},
    ],
}
UNNAMED = {key: COCO[key] for key in ("images", "annotations")}

TABLES = (
    "image_name,l_x,l_y,r_x,r_y,l_visible\na.jpg,5,6.5,20,21,1\nb.jpg,7,8,,,0\n",
    (
        "image_name;x1;y1;x2;y2;box_size;l_x;l_y;r_x;r_y\r\n"
        "a.jpg;1,5;2;20;21,25;7;5,5;6;20;21\r\nb.jpg;;;;;;3;4;5,5;9\r\n"
    ),
    (
        "scorer,me,me,me,me\nbodyparts,l,l,r,r\ncoords,x,y,x,y\n"
        "labeled-data/v/a.jpg,5,6,20,21\nlabeled-data/v/b.jpg,5,6,,\n"
    ),
    (
        "scorer,,,me,me,me,me\nindividuals,,,m,m,n,n\nbodyparts,,,l,l,l,l\n"
        "coords,,,x,y,x,y\nlabeled-data,v,a.jpg,5,6,20,21\n"
    ),
)


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.jpg")
    return tmp_path


def stored(path, data):
    # A file of its own: replacing what is in one waits for the disk on some systems.
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def checked(source):
    """All that preparing does before it writes records, and what it checks then."""
    for split, items in source.splits().items():
        source.info("mine")
        for item in items:
            source.example(split, item)


def test_coco(count, folder):
    options = [
        LandmarksCOCOOptions(annotations="all.json", ratios=(1.0,), flip_pairs=pairs)
        for pairs in ((), ("none",))
    ]
    options.append(
        LandmarksCOCOOptions(
            annotations="all.json",
            ratios=(1.0,),
            flip_pairs=("none",),
            category="hand",
            v1="seen",
            zeros="missing",
            min_points=2,
        )
    )

    def read(given):
        stored(folder / "all.json", given[0])
        checked(LandmarksCOCO(folder, given[1]))

    documents = damage.documents([COCO, COCO, UNNAMED])
    only_our_errors(read, st.tuples(documents, st.sampled_from(options)), count)


def test_csv(count, folder):
    options = [
        LandmarksCSVOptions(table="t.csv", ratios=(1.0,), flip_pairs=("none",), **more)
        for more in (
            {},
            {"zeros": "missing", "min_points": 2},
            {"decimal": "comma", "ignore": ("l_visible",)},
            {"encoding": "cp1252", "decimal": "point", "zeros": "points"},
        )
    ]

    def read(given):
        stored(folder / "t.csv", given[0])
        checked(LandmarksCSV(folder, given[1]))

    strategy = st.tuples(damage.tables(TABLES), st.sampled_from(options))
    only_our_errors(read, strategy, count)


def test_hrnet_csv(count, folder):
    """The face lists of 300W, WFLW and AFLW, with few points."""
    texts, columns = [], (hrnet_csv.NAME_AND_BOX, hrnet_csv.AFLW_NAME_AND_BOX)
    for first in columns:
        rows = [official_header(3, first)]
        for k, name in enumerate(("a.jpg", "b.jpg", "a.jpg")):
            row = official_row(name, random_points(3, k))
            rows.append([*row[:2], *[9] * (len(first) - 4), *row[2:]])
        texts.append("\n".join(",".join(map(str, row)) for row in rows))

    def read(data):
        path = stored(folder / "t.csv", data)
        for first in columns:
            hrnet_csv.read_hrnet_csv(path, folder, 3, first)

    only_our_errors(read, damage.tables(texts), count)


def test_pts(count, folder):
    points = "\n".join(f"{x} {y}" for x, y in random_points(3, 0))
    text = f"version: 1\nn_points:  3\n{{\n{points}\n}}\n"

    def read(data):
        w300.read_pts(stored(folder / "a.pts", data), 3)

    only_our_errors(read, damage.tables([text]), count)


def test_lists_of_wflw(count, folder, monkeypatch):
    monkeypatch.setattr(wflw, "NUM_POINTS", 3)
    lines = []
    for k, name in enumerate(("a.jpg", "b.jpg")):
        points = " ".join(map(str, random_points(3, k).ravel()))
        lines.append(f"{points} 1 2 30 31 0 1 0 0 0 1 {name}")

    def read(data):
        path = stored(folder / "list.txt", data)
        for flagged in (True, False):
            wflw.read_list(path, folder, flagged=flagged)

    only_our_errors(read, damage.tables(["\n".join(lines)]), count)


def test_predictions_of_cofw68(count, folder, monkeypatch):
    monkeypatch.setattr(cofw68, "NUM_POINTS", 3)
    text = "".join(f"{k}\n1.5 2 3\n4 5 6.25\n0 1 0\n" for k in (2, 1, 3))

    def read(data):
        cofw68.read_predictions(stored(folder / "method.txt", data))

    only_our_errors(read, damage.tables([text]), count)


def array(rng):
    """An array of another kind or shape than is expected."""
    kind = rng.choice(["f8", "f4", "i4", "u1", "?", "c16", "S3"])
    shape = [rng.choice([0, 1, 2, 3, 68, 87]) for _ in range(rng.randrange(4))]
    value = rng.choice([0, 1, 5, 200, float("nan"), float("inf"), 1e300])
    with np.errstate(over="ignore", invalid="ignore"):
        return np.full(shape, value).astype(kind)


def test_annotations_of_cofw68(count, folder):
    """MATLAB 5 files: `1_points.mat`."""
    right = {"Points": np.ones((68, 2)), "Occ": np.zeros((1, 68))}

    def read(seed):
        # By its seed, as the files are too large to be shown.
        rng = random.Random(seed)
        content = dict(right)
        for key in rng.sample(sorted(right), rng.randrange(3)):
            del content[key]
            if rng.randrange(4):
                content[key] = array(rng)
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, content, do_compression=rng.random() < 0.5)
        data = buffer.getvalue()
        data = data if rng.randrange(2) else damage.cut(rng, data)
        stored(folder / "1_points.mat", data)
        cofw68.read_annotations(folder)

    only_our_errors(read, st.integers(0, 2**64), count)


def test_cofw(count, folder):
    """MATLAB 7.3 files, which are HDF5: other keys, arrays, references and bytes."""
    path = folder / "COFW_test_color.mat"
    write_matlab(path, "test", [annotation_of(k) for k in (0, 1)], [image_of(0)] * 2)
    whole = path.read_bytes()
    places = ["IsT", "phisT", "#refs#/0", "#refs#/1", "#refs#"]

    def read(seed):
        # By its seed, as HDF5 files are too large to be shown.
        rng = random.Random(seed)
        stored(path, whole)
        with h5py.File(path, "r+") as file:
            if rng.randrange(2):
                value = rng.choice([rng.gauss(0, 99), 1e300, float("nan")])
                file["phisT"][rng.randrange(87), rng.randrange(2)] = value
            # Those in the folder first: it may be no folder afterwards.
            chosen = rng.sample(places, rng.randrange(3))
            for place in sorted(chosen, key=len, reverse=True):
                if place in file:
                    del file[place]
                if rng.randrange(4):
                    file[place] = array(rng)
        if rng.randrange(2):
            stored(path, damage.cut(rng, path.read_bytes()))
        checked(cofw.COFW(folder, cofw.COFWOptions()))

    only_our_errors(read, st.integers(0, 2**64), count)
