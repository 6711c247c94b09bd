"""Files of a work directory edited by hand, damaged or lost."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
from hypothesis import strategies

from hrnet_jax.errors import CheckpointError, HRNetError
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.curves import draw_curves
from hrnet_jax.training.reporting import METRICS_FILE, read_metrics
from hrnet_jax.training.train import metrics_of
from hrnet_jax.workdir.files import RESULT_FILE
from hrnet_jax.workdir.opening import open_checkpoints, read_run_config
from hrnet_jax.workdir.published import (
    RECORD_FILE,
    PublishedRun,
    read_published,
    write_published,
)
from hrnet_jax.workdir.variables import read_info, read_sound_variables, saved_info
from tests import tiny
from tests.damaging import damaged_bytes, json_files
from tests.foreign import FEWER, only_our_errors


@pytest.fixture(scope="module", autouse=True)
def tiny_network():
    """Is known, and was trained, so that no case is charged with that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        tiny.finished_run()
        yield


METRICS = {"mean_iou": 0.5, "loss": 1.0}
RESULT = {**METRICS, "metrics": METRICS, "split": "val", "step": 4, "device": "1 x cpu"}


@pytest.mark.parametrize("count", FEWER, ids=str)
def test_an_edited_result_is_shown_or_named(count, tmp_path):
    path = tmp_path / RESULT_FILE

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for value in metrics_of(path).values():
            assert float(f"{value:.4f}") is not None

    only_our_errors(read, json_files(RESULT), count)


LINE = {"step": 1, "train/loss": 1.5, "train/learning_rate": 0.1, "eval/mean_iou": 0.2}
LINES = [LINE, LINE | {"step": 2, "train/loss": "nan"}]
TEXT = "".join(json.dumps(line) + "\n" for line in LINES).encode()


def metrics_files() -> strategies.SearchStrategy:
    """Lines damaged, edited, left out at the end."""
    edited = json_files(LINE).map(lambda line: TEXT + line + b"\n" + TEXT)
    return strategies.one_of(damaged_bytes(TEXT), edited)


@pytest.mark.parametrize("count", FEWER, ids=str)
def test_edited_metrics_are_read_or_left_out(count, tmp_path):
    path = tmp_path / METRICS_FILE

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            lines = read_metrics(tmp_path)
        except HRNetError as error:
            assert str(error).startswith(f"{path}:")
            raise
        for line in lines:
            assert line["step"] < 10**19
            assert all(isinstance(float(value), float) for value in line.values())

    only_our_errors(read, metrics_files(), count)


def test_a_line_that_a_killed_run_left_is_no_line(tmp_path):
    (tmp_path / METRICS_FILE).write_bytes(TEXT + TEXT[:20])
    assert read_metrics(tmp_path) == LINES


@pytest.mark.parametrize(
    "line",
    [
        b'{"step": "3"}',
        b'{"train/loss": 1.0}',
        b'{"step": 3, "train/loss": "low"}',
        b'{"step": 3, "train/lo',
        b"\xff\xfe",
    ],
)
def test_a_line_of_metrics_that_is_none_is_named(line, tmp_path, caplog):
    path = tmp_path / METRICS_FILE
    path.write_bytes(TEXT + line + b"\n" + TEXT)
    assert read_metrics(tmp_path) == [*LINES, *LINES]
    assert caplog.messages == [f"{path}: line 3 cannot be read; left out"]


def test_numbers_that_are_not_finite_are_drawn(tmp_path):
    """They are kept as text, which matplotlib takes for names of categories."""
    (tmp_path / METRICS_FILE).write_bytes(TEXT)
    draw_curves([tmp_path], tmp_path / "curves.png")


@pytest.mark.parametrize("content", ["{}", '{"metrics": {"loss": "low"}}'])
def test_a_result_without_metrics_is_named(content, tmp_path):
    (tmp_path / RESULT_FILE).write_text(content)
    message = (
        f"{RESULT_FILE}: expected numbers under the key 'metrics'; delete the file"
    )
    with pytest.raises(CheckpointError, match=message):
        metrics_of(tmp_path / RESULT_FILE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "metrics/metrics",
            '"../.."',
            "metrics: holds a str, expected keys and values",
        ),
        ("metrics/metrics", '{"loss": "x"}', "'loss' is 'x', expected a number"),
        ("metrics/metrics", '{"loss": 1' + "0" * 400 + "}", "'loss' is 1000*"),
        ("metrics/metrics", "\ufeff{}", "metrics: Unexpected UTF-8 BOM"),
        ("meta/metadata", "[]", r"meta is \[\], expected keys"),
        (
            "meta/metadata",
            "{}",
            "dataset_info of its meta: expected facts about a data",
        ),
        ("meta/metadata", "[" * 100_000, "recursion"),
    ],
)
def test_facts_of_a_checkpoint_that_are_none_are_named(
    name, content, message, tmp_path
):
    workdir = tiny.copy_of_finished_run(tmp_path)
    path = workdir / "checkpoints" / str(tiny.BEST_STEP) / name
    path.write_text(content)
    where = f"checkpoints/{tiny.BEST_STEP}: cannot be read"
    with pytest.raises(CheckpointError, match=f"{where} .*{message}"):
        saved_info(workdir, tiny.BEST_STEP)


# Fewer: Orbax opens the folder for each.
OPENED = [20, pytest.param(500, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", OPENED, ids=str)
@pytest.mark.parametrize("name", ["meta/metadata", "metrics/metrics"])
def test_edited_facts_of_a_checkpoint_are_read_or_named(name, count, tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    path = workdir / "checkpoints" / str(tiny.BEST_STEP) / name
    document = json.loads(path.read_text())

    def read(content: bytes) -> None:
        path.write_bytes(content)
        checkpoints = open_checkpoints(workdir)
        try:
            step = checkpoints.resolve("best")
            read_info(checkpoints, step)
            checkpoints.metrics(step)
        except HRNetError as error:
            assert str(workdir) in str(error) and "\n" not in str(error)
            raise
        finally:
            checkpoints.close()

    only_our_errors(read, json_files(document), count)


def test_lost_metrics_make_no_other_step_the_best(tmp_path):
    workdir = tiny.copy_of_finished_run(tmp_path)
    step = workdir / "checkpoints" / str(tiny.BEST_STEP)
    (step / "metrics" / "metrics").unlink()
    message = f"{step}: cannot be read .metrics: .*No such file"
    with pytest.raises(CheckpointError, match=message):
        load_run(workdir)


def test_a_checkpoint_that_names_another_sharding_is_named(tmp_path):
    """Orbax answers a kind of sharding that it has not with NotImplementedError."""
    workdir = tiny.copy_of_finished_run(tmp_path)
    path = workdir / "checkpoints" / str(tiny.BEST_STEP) / "state" / "_sharding"
    text = path.read_text()
    assert "SingleDeviceSharding" in text
    path.write_text(text.replace("SingleDeviceSharding", "ingleDeviceSharding"))
    where = f"checkpoints/{tiny.BEST_STEP}: cannot be read"
    with pytest.raises(CheckpointError, match=f"{where} .*ingleDeviceSharding"):
        load_run(workdir)


@pytest.mark.parametrize("number", [np.nan, -np.inf])
def test_numbers_of_a_checkpoint_that_are_not_finite_are_named(number, monkeypatch):
    """A training stops at them, so they come of a damaged file."""
    checkpoints = open_checkpoints(tiny.finished_run())
    state = checkpoints.restore_arrays(tiny.BEST_STEP)
    assert read_sound_variables(checkpoints, tiny.BEST_STEP)
    weights = (state.get("ema") or state)["params"]["head"]["project"]["kernel"]
    weights[0, 0, 0, 1] = number
    monkeypatch.setattr(type(checkpoints), "restore_arrays", lambda *_: state)
    said = (
        "cannot be read .damaged weights, 1 tensor of .*params/head/project/kernel: 1"
    )
    with pytest.raises(CheckpointError, match=f"/{tiny.BEST_STEP}: {said} of"):
        read_sound_variables(checkpoints, tiny.BEST_STEP)
    checkpoints.close()
    with pytest.raises(CheckpointError, match=f"/{tiny.BEST_STEP}: {said} of"):
        load_run(tiny.finished_run())


# Fewer: each reads a checkpoint.
SOME = [5, pytest.param(100, marks=pytest.mark.slow)]


@pytest.mark.usefixtures("abandoned_reads")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# Hypothesis shows the bytes of an input that fails.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("count", SOME, ids=str)
def test_a_damaged_checkpoint_is_named_or_read(count, tmp_path):
    """One of its files lost, empty, cut, exchanged or with other bytes."""
    workdir = tiny.copy_of_finished_run(tmp_path)
    expected = jax.tree.leaves(load_run(workdir).variables)
    step = workdir / "checkpoints" / str(tiny.BEST_STEP)
    kept = tmp_path / "kept"
    shutil.copytree(step, kept)
    names = sorted(p.relative_to(kept) for p in kept.rglob("*") if p.is_file())

    @strategies.composite
    def damages(draw) -> tuple[pathlib.Path, bytes | None, bool]:
        name = draw(strategies.sampled_from(names))
        whole = (kept / name).read_bytes()
        kind = draw(strategies.integers(0, 4))
        if kind == 0:
            return name, None, False
        if kind == 1:
            return name, whole[: draw(strategies.integers(0, len(whole)))], False
        if kind == 2:
            other = draw(strategies.sampled_from(names))
            return name, (kept / other).read_bytes(), False
        if kind == 3 and name.as_posix() in ("meta/metadata", "metrics/metrics"):
            return name, draw(json_files(json.loads(whole))), False
        return name, draw(damaged_bytes(whole, 1)), True

    def read(one: tuple[pathlib.Path, bytes | None, bool]) -> None:
        name, content, has_other_bytes = one
        if content is None:
            (step / name).unlink()
        else:
            (step / name).write_bytes(content)
        try:
            found = load_run(workdir)
        except HRNetError as error:
            assert str(workdir) in str(error) and "\n" not in str(error)
            raise
        finally:
            (step / name).write_bytes((kept / name).read_bytes())
        # Orbax keeps no checksum of the numbers, so other bytes in their place may pass;
        # a file that is another's, or a part of one, never does.
        if has_other_bytes:
            return
        pairs = zip(jax.tree.leaves(found.variables), expected, strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)

    only_our_errors(read, damages(), count, shrinks=False)


@pytest.mark.parametrize("count", FEWER, ids=str)
def test_an_edited_record_of_a_published_run_is_read_or_named(count, tmp_path):
    run = load_run(tiny.finished_run())
    config = read_run_config(tiny.finished_run())
    published = PublishedRun(config, run.info, run.step, run.metrics, None)
    write_published(tmp_path, published, run.variables, "1.0")
    path = tmp_path / RECORD_FILE
    content = json.loads(path.read_text())
    content["dataset_info"] = {
        key: content["dataset_info"][key]
        for key in ("name", "num_classes", "class_names", "palette")
    }

    def read(edited: bytes) -> None:
        path.write_bytes(edited)
        try:
            assert isinstance(read_published(tmp_path).step, int)
        except HRNetError as error:
            assert str(error).startswith(f"{path}:")
            raise

    only_our_errors(read, json_files(content), count)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("metrics", {"mean_iou": 10**400}, "1000"),
        ("metrics", {"mean_iou": "0.5"}, "'0.5'"),
        ("step", 4.5, "4.5"),
    ],
)
def test_a_number_of_a_published_run_that_is_none_is_named(key, value, told, tmp_path):
    run = load_run(tiny.finished_run())
    config = read_run_config(tiny.finished_run())
    published = PublishedRun(config, run.info, run.step, run.metrics, None)
    write_published(tmp_path, published, run.variables, "1.0")
    path = tmp_path / RECORD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(CheckpointError, match=f"^{path}: {told}.* of another kind"):
        read_published(tmp_path)
