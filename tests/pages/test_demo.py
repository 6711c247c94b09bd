"""What the demo answers, without a browser and without the extra [page]."""

import json
import socket
import sys
import types

import cv2
import numpy as np
import pytest
from PIL import Image

from hrnet_jax.conversion.opening import load_run
from hrnet_jax.errors import DataError
from hrnet_jax.inference.folder import predict_image
from hrnet_jax.pages import answers
from hrnet_jax.pages.answers import Answerer
from tests import tiny
from tests.pages.reading import Page, run_script


@pytest.fixture(scope="module")
def run():
    return load_run(tiny.finished_run())


@pytest.fixture
def answerer(run, tmp_path):
    return Answerer(run, tmp_path / "written", max_side=64)


@pytest.fixture
def photograph(tmp_path):
    """Larger than the network is to see; noise, of which every class is made."""
    path = tmp_path / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(pixels, (128, 96)))
    return path


def test_an_answer_is_the_prediction_with_its_numbers(
    run, answerer, photograph, tmp_path
):
    answer = answerer.answer(photograph)
    assert answer.image.shape == (96, 128, 3)
    small = cv2.resize(answer.image, (64, 48), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(
        run.predict(small)["label"],
        (128, 96),
        interpolation=cv2.INTER_NEAREST_EXACT,
    )
    np.testing.assert_array_equal(answer.prediction["label"], expected)
    page = Page(answerer.legend(answer))
    rows = page.table("class")
    names = {name.strip(): cells for name, cells in [*rows.items()][1:]}
    present = {run.info.class_names[index] for index in np.unique(expected)}
    assert names.keys() == present
    shares = [float(share.rstrip("%")) for share, _ in names.values()]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert "128 x 96 pixels" in page.text and "with compilation" in page.text
    assert "background:rgb(" in page.all("span")[0]["style"]
    assert "with compilation" not in answerer.legend(answerer.answer(photograph))
    picture = answerer.picture(answer)
    files = answerer.files(answer, picture, tmp_path / "new" / "taken")
    assert [*files] == ["picture", "json", "label"]
    label = cv2.imread(str(files["label"]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(label, expected)
    shown = cv2.imread(str(files["picture"]))[..., ::-1]
    np.testing.assert_array_equal(shown, picture)
    numbers = json.loads(files["json"].read_text())
    assert numbers["model"] == "segmentation/tiny" and numbers["max_side"] == 64
    assert {entry["name"] for entry in numbers["classes"]} == present


def test_opacity_and_view_change_the_picture(answerer, photograph):
    answer = answerer.answer(Image.open(photograph))
    without, half, full = (answerer.picture(answer, opacity=x) for x in (0, 0.5, 1))
    edges = (without != answer.image).any(-1)
    # All but the lines between classes.
    np.testing.assert_array_equal(without[~edges], answer.image[~edges])
    assert (half != full).any() and (half != without).any()
    heat = answerer.picture(answer, "confidence", 1.0)
    surest = np.unravel_index(answer.prediction["confidence"].argmax(), (96, 128))
    assert heat[surest].sum() == heat.sum(-1).max()
    np.testing.assert_array_equal(
        answerer.picture(answer, "confidence", 0.0), answer.image
    )


def test_classes_of_images_have_probabilities(tmp_path):
    task = types.SimpleNamespace(
        pixel_maps=(),
        takes_boxes=False,
        has_own_size=False,
        draw_frame=lambda image, prediction: image + prediction["class"],
        save=lambda *_: {"classes": [{"name": "<cat>", "probability": 0.875}]},
    )
    run = types.SimpleNamespace(
        task=task,
        info=None,
        about={"model": "classification/mine"},
        predict=lambda image, boxes=None: {"class": np.uint8(3)},
    )
    answerer = Answerer(run, tmp_path, max_side=9)
    assert not answerer.labels_pixels and not answerer.finds_boxes
    answer = answerer.answer(np.zeros((8, 9, 3), np.uint8))
    assert Page(answerer.legend(answer)).table("class")["<cat>"] == ["87.5%"]
    assert (answerer.picture(answer) == 3).all()


def test_what_is_no_image_is_one_line_with_its_name(answerer, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no image\n")
    with pytest.raises(DataError) as caught:
        answerer.answer(path)
    said = answers.in_one_line(caught.value, str(path))
    assert said == "notes.txt is not an image file"


BUSY = (
    "port {port} of 127.0.0.1 cannot be used (Address already in use); choose another"
)
REFUSED = {
    "port in use": (["{run}", "--port={port}"], f"error: {BUSY} with --port"),
    "no port": (["{run}", "--port=0"], "error: --port=0: expected 1 to 65535"),
    "no host": (["{run}", "--host=256.1.1.1"], "error: --host=256.1.1.1: no such addr"),
    "no extra": (
        ["{run}", "--port={free}"],
        (
            "error: this needs the package gradio, which is not installed: "
            "pip install -e '.[page]' in the folder of hrnet_jax"
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line(name, monkeypatch, capsys):
    # So that nothing here waits for its import; the first three do not need it.
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "hrnet_jax.pages.demo", raising=False)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "restored by this")
    arguments, expected = REFUSED[name]
    with socket.socket() as taken, socket.socket() as free:
        for one in (taken, free):
            one.bind(("127.0.0.1", 0))
        taken.listen()
        names = {"run": tiny.finished_run(), "port": taken.getsockname()[1]}
        names["free"] = free.getsockname()[1]
        free.close()
        code, out, err = run_script(
            "demo",
            monkeypatch,
            capsys,
            *(text.format(**names) for text in arguments),
        )
    assert (code, out) == (2, "")
    assert err.startswith(expected.format(**names)) and len(err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "where, expected",
    [
        ("gone", "gone: no such folder; expected the work directory of a run"),
        ("", "/config.json: no such file; expected a work directory"),
        ("bad.pth", "bad.pth"),
    ],
)
def test_what_is_no_model_is_one_line(where, expected, monkeypatch, capsys, tmp_path):
    pytest.importorskip("gradio")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "restored by this")
    (tmp_path / "bad.pth").write_bytes(b"weights")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    code, out, err = run_script(
        "demo", monkeypatch, capsys, tmp_path / where, f"--port={port}"
    )
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and len(err.splitlines()) == 1
    assert f"{tmp_path}" in err and expected in err


@pytest.mark.slow
def test_points_are_found_in_faces_or_in_the_whole_image(landmark_run, tmp_path):
    run = load_run(landmark_run)
    answerer = Answerer(run, tmp_path, max_side=2048)
    assert answerer.finds_boxes and not answerer.labels_pixels
    image = np.full((80, 96, 3), 128, np.uint8)
    nothing = answerer.answer(image)
    assert "no face found" in answerer.legend(nothing)
    np.testing.assert_array_equal(answerer.picture(nothing), image)
    whole = answerer.answer(image, find=False)
    expected = predict_image(run, image, find=False)
    np.testing.assert_array_equal(whole.prediction["points"], expected["points"])
    assert (answerer.picture(whole) != image).any()
    rows = Page(answerer.legend(whole)).table("faces")
    assert rows["face 1"][0] == str(len(run.info.point_names))
    files = answerer.files(whole, answerer.picture(whole), tmp_path / "taken")
    assert [*files] == ["picture", "json"]
    (found,) = json.loads(files["json"].read_text())["found"]
    assert [point["name"] for point in found["points"]] == [*run.info.point_names]
