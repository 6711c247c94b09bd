"""Which cases `make test` runs of those that only `make test-all` runs whole."""

from collections.abc import Iterable

import pytest

# Files that take longest in either tier. Begun last, one of them would run alone.
LONG = (
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
    "training/test_processes.py",
    "sweeps/test_command.py",
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
    absent = [case for case in fast if case not in cases]
    if absent:
        raise ValueError(f"no such cases: {absent}")
    return [
        case if case in fast else pytest.param(case, marks=pytest.mark.slow)
        for case in cases
    ]
