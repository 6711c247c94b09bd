"""A package imports only from the packages below it."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "hrnet_jax"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
# Packages from the lowest up, as CONTRIBUTING.md has them: `a < b < {c, d} < e`.
(ORDER,) = re.findall(r"^    (errors < .*)$", CONTRIBUTING, re.MULTILINE)
FLOORS = [set(re.findall(r"\w+", floor)) for floor in ORDER.split(" < ")]
TASKS = {"segmentation", "keypoints", "detection", "classification"}
# Where a package may import less than everything below it.
NARROWER = {
    "models": {"errors", "runtime"},
    # Of the configuration, what reads files with names and types.
    "pretrained": {
        "errors",
        "storage",
        "whole_files",
        "models",
        "config.json_files",
        "config.options",
    },
    "data": {"errors", "storage", "whole_files", "runtime", "config", "imaging"},
    # Of the data, tasks know the description of a data set and of what is annotated.
    "tasks": {"errors", "config", "imaging", "models", "data.info", "data.truth"},
    **{
        task: {
            "errors",
            "storage",
            "whole_files",
            "runtime",
            "config",
            "imaging",
            "models",
        }
        | {"tasks", "data.info", "data.truth", "data.files"}
        for task in TASKS
    },
    # Opened on machines without data and optimizers.
    "experiment": {
        "errors",
        "storage",
        "config",
        "models",
        "pretrained",
        "tasks",
        "registry",
    }
    | {"data.info"},
    # Weights of the official names are those of published runs.
    "workdir": {"errors", "storage", "whole_files", "runtime", "config", "pretrained"}
    | {"registry", "experiment", "data.info"},
    "inference": {
        "errors",
        "storage",
        "whole_files",
        "runtime",
        "config",
        "imaging",
        "models",
        "pretrained",
    }
    | {"data.info", "data.files", "tasks", "registry", "experiment", "workdir"}
    | TASKS,
}


def allowed_in(package: str) -> set[str]:
    """Dotted beginnings that a package may import, without `hrnet_jax.`."""
    if package in NARROWER:
        return NARROWER[package]
    (floor,) = (index for index, packages in enumerate(FLOORS) if package in packages)
    return set().union(*FLOORS[:floor])


# Everything but what the extra [convert] and tests of other packages bring.
READING = [
    "hrnet_jax",
    "hrnet_jax.models.hrnet",
    "hrnet_jax.pretrained",
    "hrnet_jax.segmentation.task",
    "hrnet_jax.data.records",
    "hrnet_jax.data.stream.batches",
    "hrnet_jax.data.stream.feeding",
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


def package_of(path: pathlib.Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_allowed(name: str, package: str) -> bool:
    """Whether `package` may import the dotted `name`."""
    if name == "hrnet_jax" or package == "__init__":
        return True  # public names, which are imported when first used
    if not f"{name}.".startswith("hrnet_jax."):
        return not name.startswith(("scripts.", "experiments.", "tests."))
    inside = name.removeprefix("hrnet_jax").removeprefix(".")
    return any(
        f"{inside}.".startswith(f"{allowed}.")
        for allowed in allowed_in(package) | {package}
    )


FILES = sorted(PACKAGE.rglob("*.py"))


def test_the_rule_tells_floors_apart():
    assert is_allowed("hrnet_jax.models.hrnet.HRNet", "segmentation")
    assert is_allowed("hrnet_jax.data.info.DatasetInfo", "segmentation")
    assert is_allowed("jax.numpy", "models")
    assert not is_allowed("hrnet_jax.data.records.Records", "segmentation")
    assert not is_allowed("hrnet_jax.data.info.DatasetInfo", "models")
    assert not is_allowed("hrnet_jax.training.train.train", "inspection")
    assert not is_allowed("hrnet_jax.classification.model", "segmentation")
    assert not is_allowed("hrnet_jax.models_of_others", "data")
    assert not is_allowed("tests.tiny", "training")
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    package = package_of(path)
    assert package == "__init__" or any(package in floor for floor in FLOORS), (
        f"{package} is not in the order of CONTRIBUTING.md"
    )
    wrong = sorted(
        name for name in imported_modules(path) if not is_allowed(name, package)
    )
    assert not wrong, f"{package} must not import {', '.join(wrong)}"


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


FOLDERS = ("hrnet_jax", "scripts", "experiments", "tools", "benchmarks", "tests")


@pytest.mark.parametrize("folder", FOLDERS)
def test_functions_and_files_are_short(folder):
    """Below 60 lines, at most 400; CONTRIBUTING.md, "Style"."""
    long = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.name == "synthetic_weights.py":  # comes with the goldens
            continue
        text = path.read_text()
        if len(text.splitlines()) > 400:
            long[path.name] = len(text.splitlines())
        functions = (
            node
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        for function in functions:
            lines = function.end_lineno - function.lineno + 1
            if lines >= 60:
                long[f"{path.name}::{function.name}"] = lines
    assert not long
