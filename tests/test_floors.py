"""A room imports only from the rooms below it."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "hrnet_jax"
TASKS = {"segmentation", "keypoints", "detection", "classification"}
GROUND = {
    "distributed",
    "errors",
    "layouts",
    "options",
    "photometric",
    "pictures",
    "piecewise",
    "runtime",
    "whole_image",
}
# What each room may import, besides itself. A room that is not listed is new:
# give it its floor here.
ALLOWED = {
    "__init__": set(),
    "errors": set(),
    "distributed": {"errors"},
    "failures": {"errors"},
    "layouts": set(),
    "options": {"errors"},
    "photometric": set(),
    "pictures": {"errors"},
    "piecewise": set(),
    "whole_image": {"errors"},
    "runtime": {"errors", "layouts", "piecewise"},
    "models": GROUND,
    "data": GROUND,
    "pretrained": GROUND | {"models"},
    # Of the data, tasks know the description of a data set only.
    **{task: GROUND | {"models", "data.info"} for task in TASKS},
    "registry": GROUND | {"models", "pretrained"} | TASKS,
    # Training knows tasks only through the protocol and the registry.
    "training": GROUND | {"models", "data", "pretrained", "registry"},
    "inference": GROUND
    | {"models", "data", "pretrained", "registry", "training"}
    | TASKS,
    "inspection": GROUND | {"models", "registry"} | TASKS,
    # Beside inference: it compiles what training runs.
    "planning": GROUND | {"models", "data", "registry", "inspection", "training"},
    "experiment_flags": {"command_line"},
    "command_line": {"distributed", "errors", "failures"},
}
# Left out: what writes records, which alone needs TensorFlow.
READING = [
    "hrnet_jax",
    "hrnet_jax.models.hrnet",
    "hrnet_jax.pretrained",
    "hrnet_jax.segmentation.task",
    "hrnet_jax.data.records",
    "hrnet_jax.data.pipeline",
    "hrnet_jax.data.feeding",
    "hrnet_jax.training.step",
    "hrnet_jax.training.train",
    "hrnet_jax.inference",
]


def imported_modules(path: pathlib.Path) -> set[str]:
    """Dotted names that a file imports anywhere, `from a import b` as `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(path: pathlib.Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_allowed(name: str, room: str) -> bool:
    """Whether `room` may import the dotted `name`."""
    if not f"{name}.".startswith("hrnet_jax."):
        return not name.startswith(("scripts.", "experiments.", "tests."))
    inside = name.removeprefix("hrnet_jax").removeprefix(".")
    return any(
        f"{inside}.".startswith(f"{allowed}.") for allowed in ALLOWED[room] | {room}
    )


FILES = sorted(PACKAGE.rglob("*.py"))


def test_the_rule_tells_floors_apart():
    assert is_allowed("hrnet_jax.models.hrnet.HRNet", "segmentation")
    assert is_allowed("hrnet_jax.data.info.DatasetInfo", "segmentation")
    assert is_allowed("jax.numpy", "models")
    assert not is_allowed("hrnet_jax.data.records.Records", "segmentation")
    assert not is_allowed("hrnet_jax.data.info.DatasetInfo", "models")
    assert not is_allowed("hrnet_jax.segmentation.heads.SegmentationHRNet", "training")
    assert not is_allowed("hrnet_jax.classification.heads", "segmentation")
    assert not is_allowed("hrnet_jax.models_of_others", "data")
    assert not is_allowed("tests.tiny", "training")
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = room_of(path)
    assert room in ALLOWED, f"{room} has no floor in this test"
    wrong = sorted(
        name for name in imported_modules(path) if not is_allowed(name, room)
    )
    assert not wrong, f"{room} must not import {', '.join(wrong)}"


def run_python(code: str) -> list[str]:
    """Lines a fresh interpreter prints."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return result.stdout.split()


def test_reading_training_and_predicting_import_no_tensorflow():
    modules = ", ".join(READING)
    found = run_python(
        f"import sys, {modules}\n"
        "print(*{name.split('.')[0] for name in sys.modules}"
        " & {'tensorflow', 'torch', 'hrnet_jax'})"
    )
    assert found == ["hrnet_jax"]


def test_importing_the_package_alone_is_light():
    found = run_python(
        "import sys, hrnet_jax\n"
        "print(*{'jax', 'orbax', 'grain', 'cv2', 'tensorflow'} & set(sys.modules))"
    )
    assert found == []
