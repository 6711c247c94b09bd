"""Executes the Python blocks of pages as cells of a notebook, one after the other.

    python -m tests.walks.notebook PAGE.md ...

Run in a folder with the files that pages suppose. Prints, of each page, the traceback
of its first cell that failed, as JSON.
"""

import contextlib
import json
import pathlib
import runpy
import sys
import traceback
from collections.abc import Callable

import cv2
import numpy as np
import optuna

from hrnet_jax.data.generated.faces import draw_face
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.sweeps.study import open_storage
from tests import tiny, tiny_pose
from tests.walks import pages

SIZE = 64, 96


def _image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def _face() -> np.ndarray:
    return draw_face(0, "frontal", 0, 256, 68, 0.0).image


def _pet() -> dict:
    """A photograph; the run that the page opens is of the tests' own variant."""
    VARIANTS[tiny.VARIANT_NAME] = tiny.VARIANT
    pathlib.Path("garden").mkdir()
    image = _image()
    assert cv2.imwrite("garden/a.jpg", image)
    return {"image": image}


def _person() -> dict:
    """A photograph that the box of the page fits into; the variant of its run."""
    VARIANTS[tiny_pose.VARIANT_NAME] = tiny_pose.VARIANT
    return {"image": np.zeros((340, 160, 3), np.uint8)}


def _finished_sweep() -> dict:
    """Makes the study that the page opens, with one trial that came to an end."""
    folder = pathlib.Path("runs/sweep")
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(storage=open_storage(folder), study_name="sweep")
    trial = optuna.create_trial(value=0.5, user_attrs={"values": {"seed": 1}})
    study.add_trial(trial)
    return {}


# Names that pages leave to the reader.
GIVEN: dict[str, Callable[[], dict]] = {
    "README.md": lambda: {"images": np.zeros((1, *SIZE, 3), np.float32)},
    "detection.md": _pet,
    "export.md": lambda: {"image": _image(), "images": _image()[None]},
    "landmarks.md": lambda: {"image": _face()},
    "networks.md": lambda: {"images": np.zeros((1, *SIZE, 3), np.float32)},
    "pose.md": _person,
    "sweeps.md": _finished_sweep,
    "weights.md": lambda: {"image": _image()},
}


def _check_readme(cells: dict) -> None:
    run, prediction = cells["run"], cells["prediction"]
    assert prediction["label"].shape == SIZE and prediction["label"].dtype == np.uint8
    assert cells["picture"].shape[2] == 3
    assert cells["logits"].shape == (1, SIZE[0] // 4, SIZE[1] // 4, 19)
    # The end of a cell.
    assert len(repr(run).splitlines()) == 1 and "road" in run._repr_html_()
    assert len(repr(prediction)) < 2000


def _check_configuration(cells: dict) -> None:
    assert callable(cells["get_config"])
    assert cells["config"].schedule.learning_rate == 1e-3
    assert 0 <= cells["metrics"]["mean_iou"] <= 1


def _check_data(cells: dict) -> None:
    assert (len(cells["records"]), cells["sample"]["label"].shape) == (256, (64, 64))


def _check_detection(cells: dict) -> None:
    found = cells["found"]
    count = len(found["scores"])
    assert found["boxes"].shape == (count, 4) and found["classes"].shape == (count,)
    assert list(found["scores"]) == sorted(found["scores"], reverse=True)
    assert found["masks"][0].shape == SIZE and found["masks"][0].dtype == bool
    assert cells["picture"].shape == (*SIZE, 3)


def _check_export(cells: dict) -> None:
    label = cells["prediction"]["label"]
    assert label.shape == SIZE
    np.testing.assert_array_equal(cells["logits"][0].argmax(0), label)


def _check_landmarks(cells: dict) -> None:
    assert cells["prediction"]["points"].shape[1:] == (98, 2)
    assert cells["picture"].dtype == np.uint8


def _check_networks(cells: dict) -> None:
    assert cells["body"].channels == (32, 64, 128, 256)
    assert [each.shape[-1] for each in cells["maps"]] == [32, 64, 128, 256]
    assert cells["logits"].shape == (1, SIZE[0] // 4, SIZE[1] // 4, 19)


def _check_pose(cells: dict) -> None:
    points = cells["prediction"]["points"]
    assert points.shape == (1, 17, 2) and points.dtype == np.float32
    assert cells["picture"].shape == (340, 160, 3)


def _check_sweeps(cells: dict) -> None:
    assert cells["study"].best_trial.user_attrs["values"] == {"seed": 1}
    trial = optuna.create_study().ask()
    assert 1e-4 <= cells["get_sweep"](trial)["schedule.learning_rate"] <= 1e-1
    assert [entry["model.representation"] for entry in cells["SWEEP"]] == [
        *("v1", "v1h", "v2")
    ]


def _check_training(cells: dict) -> None:
    assert set(cells["state"]) >= {"params", "batch_stats", "step"}


def _check_weights(cells: dict) -> None:
    assert cells["found"].model == "segmentation/w48"
    given = cells["pretrained"].read_weights_file("hrnet_w48.pth")
    for name, tensor in given.items():
        np.testing.assert_array_equal(cells["tensors"][name], tensor, err_msg=name)


# What pages say of the names that their cells leave.
CHECKS: dict[str, Callable[[dict], None]] = {
    "README.md": _check_readme,
    "configuration.md": _check_configuration,
    "data.md": _check_data,
    "detection.md": _check_detection,
    "export.md": _check_export,
    "landmarks.md": _check_landmarks,
    "networks.md": _check_networks,
    "pose.md": _check_pose,
    "sweeps.md": _check_sweeps,
    "training.md": _check_training,
    "weights.md": _check_weights,
}


def main(names: list[str]) -> None:
    """Executes the cells of these pages."""
    problems = {}
    for page in names:
        cells = pathlib.Path(f"{page}.py")
        cells.write_text("\n".join(block.text for block in pages.python_blocks(page)))
        try:
            with contextlib.redirect_stdout(sys.stderr):
                left = runpy.run_path(str(cells), GIVEN.get(page, dict)())
                CHECKS.get(page, lambda left: None)(left)
            problems[page] = ""
        except Exception:  # noqa: BLE001, whatever a cell raises is told
            problems[page] = traceback.format_exc()
    json.dump(problems, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
