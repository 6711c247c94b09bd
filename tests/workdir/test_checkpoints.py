"""Checkpoints: what is kept, what is best, and what damage is noticed."""

import contextlib
import json
import logging
import math
import pathlib
import resource
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.experiment.sections import CheckpointOptions
from hrnet_jax.workdir.checkpoints import Checkpoints
from tests import tiny
from tests.compilations import compilations

META = {"dataset_info": {"name": "shapes"}}


def make_state(value=0.0):
    return {
        "params": {"kernel": jax.numpy.full((64, 64), value, jax.numpy.float32)},
        "step": jax.numpy.asarray(3, jax.numpy.int32),
    }


def open_checkpoints(workdir, direction="max", **options):
    return Checkpoints(workdir, CheckpointOptions(**options), ("score", direction))


def save_all(checkpoints, scores):
    """Saves steps 1, 2, ...; a score of None means not evaluated."""
    for step, score in enumerate(scores, 1):
        metrics = None if score is None else {"score": score}
        checkpoints.save(step, make_state(step), META, metrics)
    checkpoints.wait()


def test_saving_what_lies_on_eight_devices_compiles_nothing(tmp_path):
    mesh = jax.make_mesh((8,), ("data",))
    everywhere = jax.NamedSharding(mesh, jax.P())
    arrays = {str(n): np.arange(8.0 * n, dtype=np.float32) for n in range(1, 9)}
    state = jax.device_put(arrays, everywhere)
    with compilations() as compiled:
        jax.jit(lambda x: x + 1)(np.float32(1)).block_until_ready()
        assert compiled  # it does listen
        compiled.clear()
        with contextlib.closing(open_checkpoints(tmp_path)) as checkpoints:
            checkpoints.save(1, state, META)
            checkpoints.wait()
            restored = checkpoints.restore(1, state)
        assert not compiled
    assert restored["8"].sharding == everywhere
    jax.tree.map(np.testing.assert_array_equal, restored, arrays)


def test_what_orbax_wrote_in_parts_is_read(tmp_path):
    """Every run before 2026-11-27 was saved by Orbax's own default."""
    everywhere = jax.NamedSharding(jax.make_mesh((8,), ("data",)), jax.P())
    arrays = {"a": np.arange(16.0, dtype=np.float32), "b": np.float32(3)}
    state = jax.device_put(arrays, everywhere)
    with contextlib.closing(
        ocp.CheckpointManager(
            tmp_path / "checkpoints",
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                "meta": ocp.JsonCheckpointHandler(),
            },
        )
    ) as manager:
        manager.save(
            7,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(META)
            ),
        )
        manager.wait_until_finished()
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.meta(7) == META
    restored = checkpoints.restore(7, state)
    assert restored["a"].sharding == everywhere
    jax.tree.map(np.testing.assert_array_equal, restored, arrays)
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore_arrays(7), arrays)
    checkpoints.close()


@pytest.mark.parametrize(
    ("direction", "scores", "kept", "best"),
    [
        ("max", [0.1, 0.2, 0.3, 0.4, 0.5], [4, 5], 5),
        ("max", [0.5, 0.4, 0.3, 0.2, 0.1], [1, 4, 5], 1),
        ("max", [0.1, 0.5, 0.2, 0.4, 0.3], [2, 4, 5], 2),
        ("min", [0.5, 0.4, 0.3, 0.2, 0.1], [4, 5], 5),
        ("min", [0.1, 0.2, 0.3, 0.4, 0.5], [1, 4, 5], 1),
        ("max", [None, 0.2, None, None, None], [2, 4, 5], 2),
        ("max", [0.1, 0.2, math.nan, 0.1, math.nan], [2, 4, 5], 2),
        ("min", [0.1, 0.2, math.nan, 0.3, math.nan], [1, 4, 5], 1),
        ("max", [None, None, None, None, None], [4, 5], None),
    ],
)
def test_keeps_the_latest_two_and_the_best(direction, scores, kept, best, tmp_path):
    checkpoints = open_checkpoints(tmp_path, direction, keep_latest=2, keep_best=1)
    save_all(checkpoints, scores)
    checkpoints.close()
    # To read, it is the checkpoints that say which metric ranks them.
    for reopened in (open_checkpoints(tmp_path, direction), Checkpoints(tmp_path)):
        assert reopened.steps() == kept
        assert reopened.latest() == 5
        assert reopened.best() == best
        assert reopened.resolve("best") == (best or 5)
        if best:
            assert reopened.metrics(best) == {"score": scores[best - 1]}
        reopened.close()


def test_what_is_saved_goes_before_what_a_reader_supposes(tmp_path):
    checkpoints = open_checkpoints(tmp_path)
    save_all(checkpoints, [0.9, 0.1])
    checkpoints.close()
    for supposed in (None, ("score", "min"), ("loss", "min")):
        assert Checkpoints(tmp_path, best_metric=supposed).best() == 1
    tiny.forget_ranking(tmp_path)
    assert Checkpoints(tmp_path, best_metric=("score", "max")).best() == 1
    assert Checkpoints(tmp_path, best_metric=("score", "min")).best() == 2
    with pytest.raises(CheckpointError, match="nothing says which metric ranks them"):
        Checkpoints(tmp_path).resolve("best")
    with pytest.raises(CheckpointError) as caught:
        Checkpoints(tmp_path, best_metric=("loss", "min")).resolve("best")
    assert str(caught.value) == (
        f"{tmp_path}/checkpoints/1: no metric 'loss', which ranks the checkpoints of "
        "this run; its metrics are score"
    )


@pytest.mark.parametrize("best_metric", [("score", "max"), None])
def test_metrics_that_rank_nothing_are_not_saved(best_metric, tmp_path):
    checkpoints = Checkpoints(tmp_path, CheckpointOptions(), best_metric)
    name = best_metric and best_metric[0]
    message = f"checkpoints/1: no metric {name!r}, which ranks .*; its metrics are loss"
    with pytest.raises(CheckpointError, match=message):
        checkpoints.save(1, make_state(), META, {"loss": 0.5})
    assert checkpoints.steps() == []
    checkpoints.close()


@pytest.mark.parametrize("stored", ["score", ["score"], ["score", "most"], [1, "max"]])
def test_a_ranking_that_is_none_is_named(stored, tmp_path):
    checkpoints = open_checkpoints(tmp_path)
    save_all(checkpoints, [0.5])
    checkpoints.close()
    path = tmp_path / "checkpoints" / "1" / "meta" / "metadata"
    path.write_text(json.dumps(META | {"best_metric": stored}))
    with pytest.raises(CheckpointError) as caught:
        Checkpoints(tmp_path).resolve("best")
    assert str(caught.value) == (
        f"{tmp_path}/checkpoints/1: 'best_metric' of its meta is {stored!r}; expected "
        "the name of a metric and 'max' or 'min'"
    )


def test_keeps_as_many_as_asked_for(tmp_path):
    checkpoints = open_checkpoints(tmp_path, keep_latest=1, keep_best=2)
    save_all(checkpoints, [0.1, 0.9, 0.3, 0.8, 0.2, 0.0])
    assert checkpoints.steps() == [2, 4, 6]
    checkpoints.close()


@pytest.mark.parametrize("key", ["every_steps", "keep_latest"])
def test_refuses_to_keep_nothing(key):
    with pytest.raises(ConfigError, match=f"checkpoint.{key}.* must be at least 1"):
        CheckpointOptions(**{key: 0})


def test_restores_what_was_saved(tmp_path):
    checkpoints = open_checkpoints(tmp_path)
    save_all(checkpoints, [None, 0.5])
    restored = checkpoints.restore(2, make_state())
    arrays = checkpoints.restore_arrays(2)
    assert checkpoints.meta(2) == META | {"best_metric": ["score", "max"]}
    checkpoints.close()
    expected = jax.device_get(make_state(2))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(restored), expected)
    jax.tree.map(np.testing.assert_array_equal, arrays, expected)
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(arrays))


@pytest.mark.usefixtures("abandoned_reads")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_another_model_does_not_fit(tmp_path):
    checkpoints = open_checkpoints(tmp_path)
    save_all(checkpoints, [0.5])
    other = {"params": {"bias": make_state()["params"]["kernel"]}}
    with pytest.raises(CheckpointError, match=r"checkpoints/1: cannot be read"):
        checkpoints.restore(1, other)
    checkpoints.close()


@pytest.mark.parametrize("step", ["latest", "best", 7, "first"])
def test_names_the_folder_and_what_there_is(step, tmp_path):
    checkpoints = open_checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint .*; complete ones: none"):
        checkpoints.resolve(step)
    save_all(checkpoints, [0.1, 0.2])
    if step in (7, "first"):
        with pytest.raises(CheckpointError, match=f"{step!r}; complete ones: 1, 2"):
            checkpoints.resolve(step)
    assert checkpoints.resolve("1") == 1
    checkpoints.close()


def test_reading_makes_no_folder(tmp_path):
    missing = tmp_path / "no" / "run"
    with pytest.raises(CheckpointError, match=str(missing)):
        Checkpoints(missing).resolve("best")
    assert not missing.exists()


def test_a_half_written_step_is_no_checkpoint(tmp_path):
    checkpoints = open_checkpoints(tmp_path)
    save_all(checkpoints, [0.1, 0.2])
    checkpoints.close()
    folder = tmp_path / "checkpoints"
    # What a process killed while it was saving step 3 leaves.
    shutil.copytree(folder / "2", folder / "3.orbax-checkpoint-tmp")
    (folder / "3.orbax-checkpoint-tmp" / "commit_success.txt").unlink(missing_ok=True)
    for reopened in (Checkpoints(tmp_path), open_checkpoints(tmp_path)):
        assert reopened.steps() == [1, 2]
        assert reopened.latest() == 2
        reopened.close()
    again = open_checkpoints(tmp_path)
    again.save(3, make_state(3), META, {"score": 0.3})
    again.close()
    value = Checkpoints(tmp_path).restore_arrays(3)["params"]["kernel"]
    np.testing.assert_array_equal(value, 3)


def read_everything(workdir):
    checkpoints = Checkpoints(workdir)
    try:
        step = checkpoints.resolve("best")
        checkpoints.meta(step), checkpoints.metrics(step)
        checkpoints.restore_arrays(step)
        checkpoints.restore(step, make_state())
    finally:
        checkpoints.close()


@pytest.mark.usefixtures("abandoned_reads")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_truncated_file_is_named(tmp_path):
    checkpoints = open_checkpoints(tmp_path / "whole")
    save_all(checkpoints, [0.5])
    checkpoints.close()
    read_everything(tmp_path / "whole")
    step = tmp_path / "whole" / "checkpoints" / "1"
    files = [path for path in step.rglob("*") if path.is_file() and path.stat().st_size]
    damaging = []
    for number, path in enumerate(files):
        workdir = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", workdir)
        copy = workdir / path.relative_to(tmp_path / "whole")
        copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
        try:
            read_everything(workdir)
        except CheckpointError as error:
            damaging.append(path.relative_to(step).as_posix())
            assert str(workdir / "checkpoints" / "1") in str(error)
            assert "cannot be read" in str(error) and "\n" not in str(error)
            assert "tensorstore_spec" not in str(error)  # pages of internals
    for needed in ("metrics/metrics", "meta/metadata", "state/_METADATA"):
        assert needed in damaging
    assert any(name.startswith("state/") and "/d/" in name for name in damaging)


@pytest.mark.usefixtures("abandoned_reads")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_missing_part_is_named(tmp_path):
    for part in ("state", "meta"):
        checkpoints = open_checkpoints(tmp_path / part)
        save_all(checkpoints, [0.5])
        checkpoints.close()
        shutil.rmtree(tmp_path / part / "checkpoints" / "1" / part)
        with pytest.raises(CheckpointError, match="checkpoints/1: cannot be read"):
            read_everything(tmp_path / part)


FULL_DISK = f"""
import resource, signal, sys
import numpy as np
from hrnet_jax.config import command_line
from hrnet_jax.errors import CheckpointError
from hrnet_jax.experiment.sections import CheckpointOptions
from hrnet_jax.workdir.checkpoints import Checkpoints

command_line.show_log()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoints = Checkpoints(sys.argv[1], CheckpointOptions(), ("score", "max"))
rng = np.random.default_rng(0)
state = {{"kernel": rng.standard_normal((256, 256))}}
checkpoints.save(1, state, {META!r}, {{"score": 0.5}})
checkpoints.wait()
# No file may grow beyond 64 KiB from here on: writing fails as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, {resource.RLIM_INFINITY}))
try:
    checkpoints.save(2, state, {META!r}, {{"score": 0.6}})
    checkpoints.wait()
except CheckpointError as error:
    print(error)
try:
    checkpoints.close()
except CheckpointError as error:
    print("close:", error)
"""


def test_a_full_disk_is_reported_and_spares_the_checkpoint_before(tmp_path):
    process = tiny.run_python(FULL_DISK, str(tmp_path))
    assert process.returncode == 0, process.stderr
    message = process.stdout.splitlines()[0]
    assert message.startswith(f"{tmp_path / 'checkpoints'}: saving")
    assert message.endswith("complete checkpoints kept: 1")
    # Orbax has pages to say.
    assert process.stdout.count("\n") == 1 and "Traceback" not in process.stderr
    assert "ERROR" not in process.stderr and "raised an exc" not in process.stderr
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.steps() == [1]
    expected = np.random.default_rng(0).standard_normal((256, 256))
    np.testing.assert_array_equal(checkpoints.restore_arrays(1)["kernel"], expected)
    checkpoints.close()


def test_a_step_is_moved_away_before_it_is_deleted(tmp_path, monkeypatch):
    seen = []
    delete = shutil.rmtree

    def watched(path, *arguments, **options):
        seen.append(pathlib.Path(path).relative_to(tmp_path / "checkpoints").parts)
        delete(path, *arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", watched)
    checkpoints = open_checkpoints(tmp_path, keep_latest=1)
    save_all(checkpoints, [0.5, 0.4, 0.3])
    checkpoints.close()
    assert seen == [("deleted", "2")]
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"1", "3"}


def test_what_a_killed_run_left_is_removed_by_the_one_that_goes_on(tmp_path):
    checkpoints = open_checkpoints(tmp_path)
    save_all(checkpoints, [0.1, 0.2])
    checkpoints.close()
    folder = tmp_path / "checkpoints"
    shutil.copytree(folder / "2", folder / "3.orbax-checkpoint-tmp")
    shutil.copytree(folder / "2", folder / "deleted" / "1")
    left = {path.name for path in folder.iterdir()}
    Checkpoints(tmp_path).close()  # which may be at the side of a training
    assert {path.name for path in folder.iterdir()} == left
    again = open_checkpoints(tmp_path)
    again.save(5, make_state(5), META, {"score": 0.3})
    again.close()
    assert {path.name for path in folder.iterdir()} == {"2", "5"}


def test_what_orbax_does_not_wait_for_is_kept_back(tmp_path, caplog):
    open_checkpoints(tmp_path).close()
    log = logging.getLogger("asyncio")
    log.error("Future exception was never retrieved\n[tensorstore_spec='{}']")
    log.error("Task exception was never retrieved\nfuture: <Task of orbax>")
    log.error("Task exception was never retrieved\nfuture: <Task of another>")
    assert [message[-8:] for message in caplog.messages] == ["another>"]
