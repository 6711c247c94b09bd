"""Image files in, label maps and a summary out."""

import json
import pathlib
from typing import ClassVar

import cv2
import numpy as np
import pytest

from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.inference.folder import (
    find_images,
    predict_files,
    read_pixels,
    unique_names,
)
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.variants import VARIANTS
from tests import tiny


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    return load_run(tiny.finished_run())


def make_image(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Colour, odd-sized, grey and transparent images, and no images."""
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "colour.png"), make_image(32, 48, 3))
    cv2.imwrite(str(images / "odd.jpg"), make_image(33, 47, 3))
    cv2.imwrite(str(images / "grey.PNG"), make_image(32, 48))
    cv2.imwrite(str(images / "alpha.png"), make_image(32, 48, 4))
    (images / "notes.txt").write_text("no image")
    (images / "more").mkdir()
    cv2.imwrite(str(images / "more" / "colour.png"), make_image(32, 48, 3))
    return images


def names(paths):
    return [path.name for path in paths]


def test_finds_files_folders_and_globs(folder):
    everything = ["alpha.png", "colour.png", "grey.PNG", "odd.jpg"]
    assert names(find_images(folder)) == everything
    assert names(find_images(folder / "odd.jpg")) == ["odd.jpg"]
    assert names(find_images(f"{folder}/*.png")) == ["alpha.png", "colour.png"]
    assert len(find_images(f"{folder}/**/colour.png")) == 2


def test_leaves_out_what_file_managers_write(folder):
    before = find_images(folder), find_images(f"{folder}/*")
    for name in ("._odd.jpg", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"of a file manager")
    assert (find_images(folder), find_images(f"{folder}/*")) == before
    (folder / "colour.png").rename(folder / ".colour.png")
    assert names(find_images(folder / ".colour.png")) == [".colour.png"]


def test_several_sources_are_found_once_each_in_their_order(folder):
    found = find_images(folder / "odd.jpg", folder, f"{folder}/*.png")
    assert names(found) == ["odd.jpg", "alpha.png", "colour.png", "grey.PNG"]
    with pytest.raises(DataError, match=r"gone\.png: no images found; expected"):
        find_images(folder, folder / "gone.png")


def test_file_urls_are_paths(folder):
    spaced = folder / "two words.png"
    (folder / "odd.jpg").rename(spaced)
    assert find_images(spaced.as_uri()) == [spaced]
    assert find_images(f"file://localhost{folder}/*.PNG") == [folder / "grey.PNG"]
    assert "%20" in spaced.as_uri()


@pytest.mark.parametrize("url", ["https://host/street.jpg", "file://host/street.jpg"])
def test_urls_of_other_machines_are_refused(url):
    with pytest.raises(DataError) as caught:
        find_images(url)
    assert str(caught.value) == (
        f"{url}: images are read from this machine alone; download them, and give a "
        "path or file:///path"
    )


def test_an_empty_name_is_not_the_current_folder():
    # What a shell hands over for a variable that is not set.
    with pytest.raises(DataError, match="name of the images is empty; expected"):
        find_images("")


@pytest.mark.parametrize("pattern", ["empty", "nothing.png", "*.gif"])
def test_says_what_it_looked_for(pattern, tmp_path):
    (tmp_path / "empty").mkdir()
    source = tmp_path / pattern
    with pytest.raises(DataError, match="no images found; expected ") as caught:
        find_images(source)
    assert str(caught.value).startswith(f"{source}: ")


def test_reads_rgb_whatever_the_file_holds(folder):
    colour = read_pixels(folder / "colour.png")
    np.testing.assert_array_equal(colour, make_image(32, 48, 3)[..., ::-1])
    grey = read_pixels(folder / "grey.PNG")
    np.testing.assert_array_equal(grey, np.repeat(make_image(32, 48)[..., None], 3, 2))
    assert read_pixels(folder / "alpha.png").shape == (32, 48, 3)


@pytest.mark.parametrize("name", ["colour.png", "odd.jpg"])
def test_a_damaged_image_is_listed_and_the_others_are_labelled(
    name, folder, run, tmp_path
):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-200])
    paths = find_images(folder)
    report = predict_files(run, paths, tmp_path / "out", progress=False)
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == report
    (failed,) = report["failed"]
    assert failed["image"] == str(path)
    assert failed["error"].startswith(f"{path} is truncated")
    labelled = [p for p in paths if p != path]
    assert [entry["image"] for entry in report["images"]] == list(map(str, labelled))
    written = {p.name for p in (tmp_path / "out").glob("*_label.png")}
    assert written == {f"{p.stem}_label.png" for p in labelled}


def test_an_error_that_names_no_file_gets_the_name(folder, run, tmp_path, monkeypatch):
    def refuse(self, image, boxes=None):
        raise DataError("expected another size")

    monkeypatch.setattr(type(run), "predict", refuse)
    path = folder / "odd.jpg"
    report = predict_files(run, [path], tmp_path / "out", progress=False)
    assert report["images"] == []
    assert report["failed"] == [
        {"image": str(path), "error": f"{path}: expected another size"}
    ]


def test_a_picture_that_cannot_be_written_ends_all(folder, run, tmp_path):
    (tmp_path / "out" / "odd_label.png").mkdir(parents=True)
    with pytest.raises(DataError, match=r"odd_label.png: cannot be written"):
        predict_files(run, [folder / "odd.jpg"], tmp_path / "out", progress=False)


def test_a_text_file_is_no_image(folder):
    with pytest.raises(DataError, match="notes.txt"):
        read_pixels(folder / "notes.txt")


def test_writes_label_maps_and_a_summary_that_adds_up(folder, run, tmp_path):
    out = tmp_path / "new" / "out"
    paths = find_images(folder)
    report = predict_files(run, paths, out, progress=False)
    assert json.loads((out / "summary.json").read_text()) == report
    assert report["model"] == "segmentation/tiny" and report["step"] == run.step
    assert report["metrics"] == run.metrics
    assert [entry["image"] for entry in report["images"]] == [str(p) for p in paths]
    for path, entry in zip(paths, report["images"], strict=True):
        image = read_pixels(path)
        label = cv2.imread(str(out / f"{path.stem}_label.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(label, run.predict(image)["label"])
        for kind in ("color", "overlay", "panels"):
            picture = cv2.imread(str(out / f"{path.stem}_{kind}.png"))
            assert picture is not None and picture.shape[0] >= len(image)
        assert (entry["height"], entry["width"]) == image.shape[:2]
        classes = {row["id"]: row["pixels"] for row in entry["classes"]}
        assert classes == dict(zip(*np.unique(label, return_counts=True), strict=True))
        assert sum(classes.values()) == label.size
        assert sum(row["share"] for row in entry["classes"]) == pytest.approx(
            1, abs=1e-5
        )


@pytest.mark.parametrize("only", [["label"], ["overlay", "color"]])
def test_only_the_chosen_pictures_are_written(only, folder, run, tmp_path):
    out = tmp_path / "out"
    predict_files(run, [folder / "odd.jpg"], out, only=only, progress=False)
    written = {path.name for path in out.iterdir()}
    assert written == {"summary.json", *(f"odd_{kind}.png" for kind in only)}


def test_an_unknown_kind_of_picture_is_named(run, tmp_path):
    with pytest.raises(ConfigError) as caught:
        predict_files(run, [], tmp_path / "out", only=["label", "mask"])
    assert str(caught.value) == (
        "only=label,mask: segmentation/tiny does not write mask; expected some of "
        "label, color, overlay, panels, indexed, submission, coco, labelme"
    )
    assert not (tmp_path / "out").exists()


def test_windows_show_the_picture_of_every_image(folder, run, tmp_path):
    class Windows:
        shown: ClassVar = []

        def show(self, picture, title):
            self.shown.append((title, picture.shape[2]))

    paths = find_images(folder / "odd.jpg", folder / "colour.png")
    out = tmp_path / "out"
    predict_files(run, paths, out, windows=Windows(), progress=False)
    assert Windows.shown == [("odd", 3), ("colour", 3)]


def test_images_of_one_name_do_not_overwrite_each_other(folder, run, tmp_path):
    paths = find_images(f"{folder}/**/colour.png")
    report = predict_files(run, paths, tmp_path / "out", progress=False)
    assert [entry["name"] for entry in report["images"]] == ["colour", "colour_2"]
    assert len(list((tmp_path / "out").glob("*_label.png"))) == 2


def test_numbers_never_meet_a_real_name():
    paths = [pathlib.Path(f"{name}.png") for name in ("a", "a_2", "a", "a", "b")]
    assert list(unique_names(paths)) == ["a", "a_2", "a_3", "a_4", "b"]
