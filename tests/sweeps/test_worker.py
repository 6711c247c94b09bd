"""Workers train each trial once, and keep what went wrong with one to that one."""

import os
import signal
import threading

import jax
import optuna
import pytest
from optuna.trial import TrialState

from hrnet_jax.errors import CheckpointError, DataError
from hrnet_jax.sweeps import worker as worker_module
from hrnet_jax.sweeps.claims import (
    choosing,
    claim,
    read_trial,
    trial_folder,
    write_trial,
)
from hrnet_jax.sweeps.progress import is_finished, summary
from hrnet_jax.training import interruption
from hrnet_jax.training.interruption import Interrupted
from tests.sweeps.spaces import (
    ERRORS,
    RATES,
    made_up_training,
    make_sweep,
    report,
    worker_of,
)

SEEDS = "SWEEP = [{'seed': number} for number in range(4)]"


@pytest.fixture
def calls(monkeypatch):
    """Names of the folders that are trained, with 0.1 and more for each seed."""
    found: list[str] = []
    use(monkeypatch, lambda config: 0.1 + config.seed / 100, found)
    return found


def use(monkeypatch, value_of, calls=None):
    monkeypatch.setattr(worker_module, "train", made_up_training(value_of, calls))
    monkeypatch.setattr(worker_module.jax, "clear_caches", lambda: None)
    # A second, where a process has run a thousand tests.
    monkeypatch.setattr(worker_module.gc, "collect", lambda: 0)


def states(worker) -> list[str]:
    return [trial.state.name for trial in worker._study.trials]


def test_a_sweep_ends_with_as_many_trials_as_it_is_to_have(tmp_path, calls):
    worker = worker_of(make_sweep(tmp_path, SEEDS, trials=3))
    assert worker.run() == 3
    assert calls == ["0000", "0001", "0002"]
    assert [trial.value for trial in worker._study.trials] == pytest.approx(
        [0.8, 0.88, 0.96]
    )
    assert worker._study.trials[2].intermediate_values == pytest.approx(
        {4: 0.48, 8: 0.96}
    )
    line = summary(worker._study, worker._sweep)
    assert line == (
        f"{tmp_path}/sweep: 3 trials finished (3 complete, 0 pruned, 0 failed); best "
        "mean_iou 0.9600: trial 0002, seed=2"
    )
    # The same command again trains nothing; a longer one what is missing.
    again = worker_of(make_sweep(tmp_path, SEEDS, trials=3))
    assert is_finished(again._study, 3) and again.run() == 0
    assert worker_of(make_sweep(tmp_path, SEEDS, trials=4)).run() == 1


@pytest.mark.parametrize("error", ["config", "nan"])
def test_what_is_wrong_with_one_trial_is_kept_with_it(error, tmp_path, monkeypatch):
    use(monkeypatch, lambda config: ERRORS[error] if config.seed == 1 else 0.1)
    worker = worker_of(make_sweep(tmp_path, SEEDS, trials=3))
    worker.run()
    assert states(worker) == ["COMPLETE", "FAIL", "COMPLETE"]
    failed = worker._study.trials[1]
    assert failed.user_attrs["error"] == str(ERRORS[error])
    assert read_trial(trial_folder(tmp_path / "sweep", 1))["message"] == str(
        ERRORS[error]
    )
    assert "(2 complete, 0 pruned, 1 failed)" in summary(worker._study, worker._sweep)


def test_a_space_that_fails_now_and_then_fails_a_trial(tmp_path, calls):
    text = (
        "def get_sweep(trial):\n"
        "    seed = trial.suggest_int('seed', 0, 9)\n"
        # Not when it is only tried, in a study of another name.
        "    fails = trial.study.study_name == 'sweep' and trial.number == 1\n"
        "    return {'seed': seed // (not fails)}"
    )
    worker = worker_of(make_sweep(tmp_path, text, trials=3))
    worker.run()
    assert states(worker) == ["COMPLETE", "FAIL", "COMPLETE"]
    said = worker._study.trials[1].user_attrs["error"]
    assert "space.py, line 4: ZeroDivisionError: " in said


def test_a_value_that_is_never_finite_is_a_failure(tmp_path, monkeypatch):
    use(monkeypatch, lambda config: float("nan"))
    worker = worker_of(make_sweep(tmp_path, SEEDS, trials=1))
    worker.run()
    assert states(worker) == ["FAIL"]
    said = worker._study.trials[0].user_attrs["error"]
    assert said == "no evaluation had a finite mean_iou"


def test_what_is_wrong_with_all_trials_ends_the_command(tmp_path, monkeypatch):
    use(monkeypatch, lambda config: ERRORS["data"])
    worker = worker_of(make_sweep(tmp_path, SEEDS, trials=3))
    with pytest.raises(DataError):
        worker.run()
    # Once the data is there, the trial is trained.
    assert states(worker) == ["RUNNING"]
    calls: list[str] = []
    use(monkeypatch, lambda config: 0.1, calls)
    worker_of(make_sweep(tmp_path, SEEDS, trials=3)).run()
    assert calls == ["0000", "0001", "0002"]


def test_data_that_a_trial_chose_is_its_own(tmp_path, monkeypatch):
    use(monkeypatch, lambda config: ERRORS["data"])
    text = "SWEEP = [{'dataset.name': 'gone'}, {'dataset.name': 'lost'}]"
    worker = worker_of(make_sweep(tmp_path, text, trials=2))
    worker.run()
    assert states(worker) == ["FAIL", "FAIL"]


def test_a_bug_ends_one_worker(tmp_path, monkeypatch):
    use(monkeypatch, lambda config: KeyError("bug") if config.seed == 0 else 0.1)
    worker = worker_of(make_sweep(tmp_path, SEEDS, trials=2))
    with pytest.raises(KeyError):
        worker.run()
    assert worker._study.trials[0].user_attrs["error"] == "KeyError: 'bug'"
    worker_of(make_sweep(tmp_path, SEEDS, trials=2)).run()
    assert states(worker) == ["FAIL", "COMPLETE"]


def test_a_device_without_memory_fails_one_trial(tmp_path, monkeypatch):
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory\nand pages")
    use(monkeypatch, lambda config: full if config.seed == 0 else 0.1)
    worker = worker_of(make_sweep(tmp_path, SEEDS, trials=2))
    worker.run()
    assert states(worker) == ["FAIL", "COMPLETE"]
    said = worker._study.trials[0].user_attrs["error"]
    assert said == "RESOURCE_EXHAUSTED: out of memory and pages"


def test_bad_trials_are_pruned_at_an_evaluation(tmp_path, monkeypatch):
    text = "SWEEP = [{'seed': 9 - number} for number in range(6)]"
    use(monkeypatch, lambda config: config.seed / 100)
    worker = worker_of(make_sweep(tmp_path, text, trials=6, pruner="median"))
    worker.run()
    assert states(worker) == ["COMPLETE"] * 4 + ["PRUNED"] * 2
    pruned = worker._study.trials[4]
    assert list(pruned.intermediate_values) == [4]
    assert read_trial(trial_folder(tmp_path / "sweep", 4))["state"] == "pruned"


def test_hyperband_ends_trials_at_its_rungs(tmp_path, monkeypatch):
    text = "SWEEP = [{'seed': 9 - number} for number in range(6)]"
    use(monkeypatch, lambda config: config.seed / 100)
    worker = worker_of(make_sweep(tmp_path, text, trials=6, pruner="hyperband"))
    worker.run()
    # It knows no rungs before a trial was trained to its end.
    assert states(worker)[0] == "COMPLETE"
    assert set(states(worker)[2:]) == {"PRUNED"}


def leave_behind(sweep) -> optuna.Trial:
    """A trial that a worker began before it was killed."""
    worker = worker_of(sweep)
    with worker._next() as trial:
        return trial


def test_a_trial_that_was_left_is_taken_up_first(tmp_path, calls):
    sweep = make_sweep(tmp_path, RATES, trials=2)
    left = leave_behind(sweep)
    folder = trial_folder(sweep.folder, 0)
    report(folder, 4, 0.4)  # evaluated and saved, but not told
    worker = worker_of(sweep)
    worker.run()
    assert calls == ["0000", "0001"]
    trial = worker._study.trials[0]
    assert trial.user_attrs["values"] == left.user_attrs["values"]
    assert trial.intermediate_values == pytest.approx({4: 0.4, 8: 0.8})


def test_a_trial_without_values_gets_those_that_were_suggested(tmp_path, calls):
    sweep = make_sweep(tmp_path, RATES, trials=1)
    worker = worker_of(sweep)
    with pytest.MonkeyPatch.context() as patch:
        # Killed between the two.
        patch.setattr(worker, "_settle", sweep.space.values)
        with worker._next() as trial:
            suggested = trial.params["rate"]
    worker_of(sweep).run()
    (trial,) = worker._study.trials
    assert trial.user_attrs["values"] == {"schedule.learning_rate": suggested}


def test_what_a_killed_worker_did_not_tell_is_told(tmp_path, calls):
    sweep = make_sweep(tmp_path, SEEDS, trials=1)
    leave_behind(sweep)
    outcome = {"state": "failed", "message": "loss is nan", "values": {"seed": 0}}
    write_trial(trial_folder(sweep.folder, 0), outcome)
    worker = worker_of(sweep)
    worker.run()
    assert calls == [] and states(worker) == ["FAIL"]
    assert worker._study.trials[0].user_attrs["error"] == "loss is nan"


def test_two_workers_never_train_one_trial(tmp_path, calls):
    first, second = (worker_of(make_sweep(tmp_path, SEEDS, trials=2)) for _ in "ab")
    with first._next() as a, second._next() as b:
        assert (a.number, b.number) == (0, 1)
        # As many as there may be, and all of them are in somebody's hands.
        with worker_of(make_sweep(tmp_path, SEEDS, trials=2))._next() as nothing:
            assert nothing is None
        assert claim(trial_folder(tmp_path / "sweep", 0)) is None
    with worker_of(make_sweep(tmp_path, SEEDS, trials=2))._next() as again:
        assert again.number == 0


def test_a_worker_waits_for_trials_of_others(tmp_path, calls, monkeypatch):
    monkeypatch.setattr(worker_module, "_PAUSE", 0.05)
    sweep = make_sweep(tmp_path, SEEDS, trials=2)
    first, second = worker_of(sweep), worker_of(sweep)
    with first._next() as trial:
        thread = threading.Thread(target=second.run)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and calls == ["0001"]
        first._finish(trial, first._outcome(trial))
    thread.join(10)
    assert not thread.is_alive() and calls == ["0001", "0000"]


def test_folders_of_another_study_are_not_trained_into(tmp_path, calls):
    sweep = make_sweep(tmp_path, SEEDS, trials=1)
    with claim(trial_folder(sweep.folder, 0)), pytest.raises(CheckpointError) as error:
        worker_of(sweep).run()
    assert "another process is at work there, though the study has no such" in str(
        error.value
    )


def test_choosing_is_for_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("hrnet_jax.sweeps.claims._PATIENCE", 0.2)
    with (
        choosing(tmp_path),
        pytest.raises(CheckpointError) as error,
        choosing(tmp_path),
    ):
        pass
    assert f"another worker is at work there (process {os.getpid()}" in str(error.value)


def test_an_interrupted_trial_is_left_as_it_is(tmp_path, monkeypatch):
    use(monkeypatch, lambda config: Interrupted(3))
    worker = worker_of(make_sweep(tmp_path, SEEDS, trials=2))
    with pytest.raises(Interrupted):
        worker.run()
    assert worker._study.trials[0].state == TrialState.RUNNING
    # A signal that comes in the last step stops the sweep after the trial.
    asked = threading.Event()
    monkeypatch.setattr(interruption, "_asked", asked)
    use(monkeypatch, lambda config: asked.set() or 0.1)
    with pytest.raises(Interrupted, match="stopped by a signal after a trial"):
        worker_of(make_sweep(tmp_path, SEEDS, trials=2)).run()
    assert states(worker) == ["COMPLETE"]


def test_sigterm_between_trainings_ends_the_process(monkeypatch):
    codes: list[int] = []
    monkeypatch.setattr(worker_module.os, "_exit", codes.append)
    with worker_module._ending_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert codes == [interruption.EXIT_CODE]


def test_sigterm_is_as_it_was_after_a_sweep(tmp_path, calls):
    before = signal.getsignal(signal.SIGTERM)
    worker_of(make_sweep(tmp_path, SEEDS, trials=1)).run()
    assert signal.getsignal(signal.SIGTERM) is before
