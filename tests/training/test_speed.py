"""How fast a run goes, and what is printed of it."""

import re
from types import SimpleNamespace

import jax
import pytest

from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.runtime.memory import most_memory
from hrnet_jax.training import loop, speed
from hrnet_jax.training.reporting import read_metrics
from hrnet_jax.training.train import _Evaluations, train
from tests import tiny


class Clock:
    """A clock that goes where it is told."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        replaced = SimpleNamespace(perf_counter=lambda: self.now)
        monkeypatch.setattr(speed, "time", replaced)

    def before(self, function, seconds):
        """The function, which takes so long from now on."""

        def taking(*arguments, **options):
            self.now += seconds
            return function(*arguments, **options)

        return taking


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_figures_of_an_interval_by_hand(clock, monkeypatch):
    monkeypatch.setattr(speed, "most_memory", lambda: 1_250_000_000)
    measured = speed.Speed(batch_size=8, steps=20)
    with measured.paused():
        clock.now = 3.0
    clock.now = 5.0
    with measured.waiting_for_data():
        clock.now = 6.0
    clock.now = 7.0
    assert measured.finish_interval(10) == {
        "train/steps_per_second": 2.5,
        "train/images_per_second": 20.0,
        "train/data_wait": 0.25,
        "train/memory_gb": 1.25,
    }
    # 10 of 20 steps in 7 s, whatever took them.
    assert measured.seconds_left() == 7.0
    clock.now = 9.0
    assert measured.finish_interval(4)["train/data_wait"] == 0.0


@pytest.mark.slow
def test_nothing_counts_but_training(clock, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "hrnet_jax")
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    compile_step = loop.Loop._compile

    def compiled(self, state, batch):
        clock.now += 1000  # of compilation
        return clock.before(compile_step(self, state, batch), 2)

    monkeypatch.setattr(loop.Loop, "_compile", compiled)
    evaluate = clock.before(_Evaluations.__call__, 1000)
    monkeypatch.setattr(_Evaluations, "__call__", evaluate)
    changes = {"num_steps": 3, "eval__every_steps": 2, "logging__progress": True}
    train(tiny.config(**changes), tmp_path)
    lines = [line for line in read_metrics(tmp_path) if "train/loss" in line]
    assert [line["train/steps_per_second"] for line in lines] == [0.5] * 3
    assert [line["train/images_per_second"] for line in lines] == [4.0] * 3
    assert [line["train/data_wait"] for line in lines] == [0.0] * 3
    assert all(0.01 < line["train/memory_gb"] < 1000 for line in lines)
    printed = [line for line in caplog.messages if line.startswith("step 2/")]
    assert re.fullmatch(
        r"step 2/3 loss \d\.\d{3} lr 1\.\de-01 0\.5 steps/s 4 images/s data 0% "
        r"memory \d+\.\d GB left 00:02",
        printed[0],
    )


def test_the_line_of_the_documentation():
    values = {
        "train/loss": 1.32412,
        "train/learning_rate": 1.9e-3,
        "train/steps_per_second": 6.4,
        "train/images_per_second": 51.2,
        "train/data_wait": 0.02,
        "train/memory_gb": 1.23,
    }
    line = speed.progress_line(100, 300, values, 31.25)
    assert line in (tiny.ROOT / "docs" / "training.md").read_text()


def options(progress=True):
    return SimpleNamespace(progress=progress)


def test_a_bar_is_for_terminals_and_notebooks(monkeypatch):
    monkeypatch.setattr(speed.sys, "modules", {})
    assert not speed.shows_bar(options())
    # A terminal of IPython has a shell without a kernel.
    for shell, is_notebook in (
        (None, False),
        (SimpleNamespace(), False),
        (SimpleNamespace(kernel="a kernel"), True),
    ):
        python = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setattr(speed.sys, "modules", {"IPython": python})
        assert speed.shows_bar(options()) == is_notebook
    assert speed.shows_bar(options()) and not speed.shows_bar(options(False))
    monkeypatch.setattr(speed.sys, "modules", {})
    monkeypatch.setattr(speed.sys, "stderr", SimpleNamespace(isatty=lambda: True))
    assert speed.shows_bar(options()) and not speed.shows_bar(options(False))
    monkeypatch.setattr(speed.processes, "is_first", lambda: False)
    assert not speed.shows_bar(options())


def test_memory_of_a_device_comes_before_that_of_the_process(monkeypatch):
    assert 10**7 < most_memory() < 10**12
    device = SimpleNamespace(memory_stats=lambda: {"peak_bytes_in_use": 5})
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    assert most_memory() == 5
