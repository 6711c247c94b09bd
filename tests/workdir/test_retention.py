"""Which checkpoints stay, also where a training was killed before it deleted others."""

import math
import shutil

import pytest

from hrnet_jax.experiment.sections import CheckpointOptions
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.training.train import train
from hrnet_jax.workdir import retention
from hrnet_jax.workdir.checkpoints import Checkpoints
from tests import tiny


@pytest.mark.parametrize(
    ("direction", "scores", "old"),
    [
        ("max", [0.5, 0.4, 0.3, 0.2, 0.1], [2, 3]),
        ("min", [0.5, 0.4, 0.1, 0.2, 0.3], [1, 2]),
        ("max", [None, 0.2, None, None, None], [1, 3]),
        ("max", [None, math.nan, 0.1, None, None], [1, 2]),
        ("max", [0.1], []),
    ],
)
def test_what_is_neither_new_nor_good_is_old(direction, scores, old):
    policy = retention.policy(
        CheckpointOptions(keep_latest=2, keep_best=1), ("score", direction)
    )
    found = {
        step: {} if score is None else {"score": score}
        for step, score in enumerate(scores, 1)
    }
    assert retention.surplus(policy, found) == old
    assert retention.surplus(retention.policy(None, None), found) == []


def test_a_run_killed_before_it_deleted_ends_with_what_it_keeps(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    workdir = tiny.copy_of_finished_run(tmp_path)
    folder = workdir / "checkpoints"
    kept = sorted(path.name for path in folder.iterdir())
    assert "5" not in kept and tiny.BEST_STEP != 8
    # As it is when the last step is complete: no result, one step too many, another
    # one moved away.
    (workdir / "result.json").unlink()
    shutil.copytree(folder / "8", folder / "5")
    shutil.rmtree(folder / "5" / "metrics")
    shutil.copytree(folder / "8", folder / "deleted" / "3")
    train(tiny.config(), workdir)
    assert sorted(path.name for path in folder.iterdir()) == kept


def test_what_is_to_go_is_gone_before_there_is_a_result(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    workdir = tiny.copy_of_finished_run(tmp_path)
    (workdir / "result.json").unlink()
    (workdir / "checkpoints" / "deleted" / "3").mkdir(parents=True)
    seen = []

    def killed(self):
        seen.append((workdir / "result.json").exists())
        assert not (workdir / "checkpoints" / "deleted").exists()

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "close", killed)
        train(tiny.config(), workdir)
    assert seen[-1] is True
