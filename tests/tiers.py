"""Which cases `make test` runs of those that only `make test-all` runs whole."""

from collections.abc import Callable, Iterable

import pytest

# Files that take longest in either tier. Begun last, one of them would run alone.
LONG = (
    "export/test_detectors.py",
    "training/test_processes.py",
    "storage/test_runs.py",
    "models/test_goldens.py",
    "notebooks/test_notebooks.py",
    "walks/test_own_photographs.py",
    "walks/test_notebook.py",
    "walks/test_pod.py",
    "test_experiments.py",
    "pretrained/test_conventions.py",
    "segmentation/test_ocr_training.py",
    "conversion/test_importing.py",
    "training/test_golden_training.py",
    "export/test_export.py",
    "inspection/test_inspection.py",
    "models/test_packing.py",
    "sweeps/test_command.py",
    "sweeps/test_bucket_runs.py",
    "scripts/test_scripts.py",
    "training/test_resume.py",
    "training/test_step.py",
    "scripts/test_predict.py",
    "data/test_pipeline.py",
    "models/test_registry.py",
    "models/test_resize.py",
    "training/test_train.py",
    "export/test_exported.py",
    "tasks/test_toy_task.py",
    "workdir/test_checkpoints.py",
    "training/test_weights.py",
    "training/test_sharding.py",
    "conversion/test_parts.py",
    "models/test_folding.py",
    "models/test_convolution.py",
)


def longest_first(items: list[pytest.Item]) -> None:
    """Sorts cases by file, in place: those of `LONG` first, in its order."""

    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        ends = (path.endswith(f"/{end}") for end in LONG)
        return next((index for index, is_it in enumerate(ends) if is_it), len(LONG))

    items.sort(key=place)


def fast_are(fast: Iterable, cases: Iterable) -> list:
    """Values of one parameter, marked `slow` except the fast ones.

    Raises:
        ValueError: if a fast one is not among them: renamed, it would guard nothing.
    """
    fast, cases = list(fast), list(cases)
    _have_all(cases, fast)
    return _marked(cases, lambda case: case not in fast)


def slow_are(slow: Iterable, cases: Iterable) -> list:
    """Values of one parameter, of which the slow ones are marked so.

    Raises:
        ValueError: if a slow one is not among them: renamed, it would be fast again.
    """
    slow, cases = list(slow), list(cases)
    _have_all(cases, slow)
    return _marked(cases, lambda case: case in slow)


def with_detectors(*values: object) -> object:
    """A case that only `make test-detectors` runs: minutes of a whole detector."""
    return pytest.param(*values, marks=pytest.mark.detectors)


def asked_for(request: pytest.FixtureRequest, argument: str) -> set:
    """Values of one argument in those cases of a file that this session runs.

    For a fixture that does the work of many cases at once: what only cases of the
    other tier look at need not be done.
    """
    cases = [item for item in request.session.items if item.path == request.path]
    parameters = [case.callspec.params for case in cases if hasattr(case, "callspec")]
    return {values[argument] for values in parameters if argument in values}


def _have_all(cases: list, named: list) -> None:
    absent = [case for case in named if case not in cases]
    if absent:
        raise ValueError(f"no such cases: {absent}")


def _marked(cases: list, is_slow: Callable[[object], bool]) -> list:
    marked = type(pytest.param())
    return [
        pytest.param(case, marks=pytest.mark.slow)
        if not isinstance(case, marked) and is_slow(case)
        else case
        for case in cases
    ]
