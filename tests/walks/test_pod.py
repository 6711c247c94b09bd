"""A user with eight devices and a pod in mind, in the words of docs/scaling.md.

Devices and hosts are those of this machine's CPU, as the page says.
"""

import importlib.util
import json
import signal

import pytest

from scripts.launch.local import free_port
from tests import tiny
from tests.walks.desk import Desk

pytestmark = pytest.mark.slow

TABLE = {
    "prepare": ("scaling.md", "python scripts/prepare_data.py --dataset=shapes"),
    "eight": ("scaling.md", "XLA_FLAGS=--xla_force_host_platform_device_count=8"),
    "pair": (
        "scaling.md",
        "python scripts/launch/local.py --processes=2 --devices_per",
    ),
    "evaluate": (
        "scaling.md",
        "python scripts/launch/local.py --processes=2 -- scripts",
    ),
    "host 0": ("scaling.md", "HRNET_JAX_PROCESSES=2 HRNET_JAX_PROCESS=0"),
    "host 1": ("scaling.md", "HRNET_JAX_PROCESSES=2 HRNET_JAX_PROCESS=1"),
    "plan": ("README.md", "python scripts/plan.py --config=EXPERIMENT --topology="),
}

HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("pod"), TABLE)
    desk.type("prepare")
    return desk


def test_a_run_on_eight_devices_is_killed_and_resumed_on_two(desk):
    process = desk.start("eight", "--config.checkpoint.every_steps=1")
    killed = desk.interrupt(process, "step 3/4 loss", signal.SIGKILL, -9)
    assert "8 x cpu | segmentation/w18_small_v1" in killed.err
    assert "batch_size is 4 instead of 2" in killed.err
    (desk.folder / "runs/eight").rename(desk.folder / "runs/pair")
    # On two processes, without the mesh of eight devices; batches stay.
    resumed = desk.type("pair")
    assert "resuming from step" in resumed.err and "2 x cpu" in resumed.err
    result = tiny.result(desk.folder / "runs/pair")
    config = json.loads((desk.folder / "runs/pair/config.json").read_text())
    assert (config["batch_size"], config["mesh"]["space"]) == (4, 1)
    printed = desk.type("evaluate")
    value = f"{result['mean_iou']:.4f}"
    assert printed.out.splitlines()[0].split() == ["mean_iou", value]


def test_two_hosts_find_each_other_by_three_variables(desk):
    port = free_port()
    hosts = [desk.start(name, port=port) for name in ("host 0", "host 1")]
    first, second = [desk.finish(process) for process in hosts]
    assert "2 x cpu" in first.err
    # The first prints the figures, alone.
    assert first.out.startswith("mean_iou ") and second.out == ""
    assert tiny.result(desk.folder / "runs/hosts")["step"] in (2, 4)


def test_a_slice_is_planned_or_what_that_needs_is_said(desk):
    if not HAS_LIBTPU:
        assert "pip install -e '.[tpu]'" in desk.type("plan", code=2).err
        return
    printed = desk.type("plan", "--nocache")
    assert "v5e:2x4" in printed.out and "hours of the schedule" in printed.out
