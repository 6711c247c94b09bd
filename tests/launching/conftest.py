"""A checkout, stand-ins for the programs of Google Cloud, and a user who types."""

import pytest

from scripts.tpu import gke, skypilot, vm
from tests.launching.stand_ins import StandIns, make_checkout, typed

MAINS = {"vm": vm.main, "gke": gke.main, "skypilot": skypilot.main}
TRAIN = (
    *("--", "scripts/train.py", "--config=experiments/quickstart.py"),
    *("--config.dataset.data_dir=gs://b/data", "--workdir=gs://b/runs/w48"),
)
COMMON = {
    "vm": ["--name=w48", "--topology=v5e:4x4", "--zone=z", "--poll_seconds=0"],
    "gke": ["--name=w48", "--topology=v5e:4x4", "--poll_seconds=0"],
    "skypilot": ["--name=w48", "--topology=v5e:4x4"],
}


@pytest.fixture
def stand_ins(tmp_path):
    (tmp_path / "programs").mkdir()
    return StandIns(tmp_path / "programs")


@pytest.fixture
def checkout(tmp_path):
    return make_checkout(tmp_path / "checkout")


@pytest.fixture
def launch(checkout, stand_ins, capsys):
    """Types a launcher; its exit code, standard output and standard error."""

    def launch(script, *options, command=TRAIN):
        arguments = [*COMMON[script], *options, *command]
        code = typed(MAINS[script], arguments, checkout, stand_ins.folder)
        said = capsys.readouterr()
        return code, said.out, said.err

    return launch
