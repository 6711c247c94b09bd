"""Sweeps in a bucket: one order of the journal, and one worker for a trial."""

import json
import os
import threading
import time

import fsspec
import optuna
import pytest

from hrnet_jax.errors import CheckpointError, ConfigError, StorageError
from hrnet_jax.storage import paths
from hrnet_jax.storage.numbered import Numbered
from hrnet_jax.sweeps import claims
from hrnet_jax.sweeps import worker as worker_module
from hrnet_jax.sweeps.claims import choosing, claim, trial_folder
from hrnet_jax.sweeps.collecting import collect
from hrnet_jax.sweeps.journal import ObjectJournal
from hrnet_jax.sweeps.progress import summary
from hrnet_jax.sweeps.study import open_storage, open_study
from hrnet_jax.workdir import lease
from tests import tiny
from tests.storage.server import PATIENCE
from tests.sweeps.spaces import (
    made_up_training,
    make_sweep,
    worker_of,
)

SWEEP = "gs://tests/runs/sweep"
JOURNAL = f"{SWEEP}/journal"
SEEDS = "SWEEP = [{'seed': number} for number in range(4)]"


@pytest.fixture
def quick(monkeypatch):
    """Turns that are renewed and given up soon, and workers that look often."""
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "GONE", 1.5)
    monkeypatch.setattr(claims, "_PAUSE_IN_BUCKET", 0.05)
    monkeypatch.setattr(worker_module, "_PAUSE_IN_BUCKET", 0.05)
    lease._seen.clear()


def journal() -> ObjectJournal:
    return ObjectJournal(paths.as_path(JOURNAL))


def in_bucket(folder, *arguments, **options):
    return make_sweep(folder, *arguments, place=paths.as_path(SWEEP), **options)


def train_made_up(monkeypatch, calls, value_of=lambda config: 0.1):
    monkeypatch.setattr(worker_module, "train", made_up_training(value_of, calls))
    monkeypatch.setattr(worker_module.jax, "clear_caches", lambda: None)
    monkeypatch.setattr(worker_module.gc, "collect", lambda: 0)


def test_what_several_append_at_once_has_one_order(bucket):
    backends = [journal() for _ in range(4)]

    def append(number):
        for count in range(5):
            logs = [{"op_code": 10 * number + count}] * (1 + count % 2)
            backends[number].append_logs(logs)

    threads = [threading.Thread(target=append, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    orders = [
        [log["op_code"] for log in each.read_logs(0)] for each in [*backends, journal()]
    ]
    assert all(order == orders[0] for order in orders)
    # None lost, none twice, and those of one writer in its order.
    for number in range(4):
        own = [code % 10 for code in orders[0] if code // 10 == number]
        assert own == [0, 1, 1, 2, 3, 3, 4]
    assert Numbered(paths.as_path(JOURNAL)).numbers() == [*range(20)]
    assert [log["op_code"] for log in backends[0].read_logs(25)] == orders[0][25:]


def test_a_journal_is_read_in_few_requests(bucket):
    writer = journal()
    for number in range(12):
        writer.append_logs([{"op_code": number}])
    bucket.requests.clear()
    reader = journal()
    listings = [path for _, path in bucket.requests if "prefix=" in path]
    assert len(listings) == 1 and len(bucket.requests) == 13
    bucket.requests.clear()
    assert len([*reader.read_logs(0)]) == 12 and len(bucket.requests) == 1


def test_an_answer_that_was_lost_is_no_conflict(bucket):
    numbered = Numbered(paths.as_path(JOURNAL))
    assert numbered.create(0, b"mine")
    # Asked again, as it is where the answer did not arrive.
    assert numbered.create(0, b"mine") and not numbered.create(0, b"of another")
    assert numbered.read([0, 1]) == {0: b"mine"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda path: path.write_text("{"),
            "000000001.json is damaged; expected a part",
        ),
        (
            lambda path: path.write_text('{"logs": [3]}'),
            "000000001.json is damaged; ex",
        ),
        (lambda path: path.unlink(), "000000001.json: no such file, though later ones"),
    ],
)
def test_a_damaged_journal_is_one_line(damage, message, bucket):
    writer = journal()
    for number in range(3):
        writer.append_logs([{"op_code": number}])
    damage(paths.as_path(JOURNAL) / "000000001.json")
    with pytest.raises(CheckpointError) as error:
        journal()
    assert str(error.value).startswith(f"{JOURNAL}/{message}")


def test_storage_that_does_not_answer_is_not_called_damaged(bucket, monkeypatch):
    writer = journal()
    writer.append_logs([{"op_code": 0}])
    monkeypatch.setenv(PATIENCE, "0")
    bucket.fail()
    for ask in (
        lambda: writer.read_logs(0),
        lambda: writer.append_logs([{"op_code": 1}]),
        lambda: claims.read_trial(paths.as_path(SWEEP)),
    ):
        with pytest.raises(StorageError, match="^gs://tests: does not answer"):
            ask()
    bucket.recover()
    assert len([*journal().read_logs(0)]) == 1


def test_a_bucket_that_cannot_decide_between_two_is_one_line(monkeypatch):
    # Stands for a scheme whose file system only looks before it writes.
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(paths, "file_system", lambda path: memory)
    with pytest.raises(ConfigError) as error:
        paths.create_object("s3://bucket/a", b"")
    assert str(error.value) == (
        "s3://bucket/a: MemoryFileSystem, which writes to s3://, cannot make an object "
        "only where there is none, by which processes agree; expected gs://, or a "
        "folder of a file system"
    )


def held_by(folder, number=0, **changes) -> None:
    """An object of a worker on another host."""
    content = {"host": "elsewhere", "process": 7, "since": "2026-01-01", "token": "x"}
    path = f"{folder}/claim.lock/{number:09d}.json"
    paths.write_object(path, json.dumps(content | changes).encode())


def test_one_worker_at_a_time_claims_a_trial(bucket, quick):
    folder = trial_folder(paths.as_path(SWEEP), 3)
    first = claim(folder)
    # Nor does another thread of the same process, nor after any number of beats.
    own, start = folder / "claim.lock" / "000000000.json", time.monotonic()
    while lease.read_lease(own)["beat"] < 2:
        assert claim(folder) is None and first.is_held()
        assert time.monotonic() < start + 30
    first.close()
    second = claim(folder)
    assert second is not None
    # Of what is over nothing is left but the last.
    names = [path.name for path in (folder / "claim.lock").iterdir()]
    assert names == ["000000001.json"]
    second.close()


def test_several_at_once_do_not_claim_the_same_trial(bucket, quick):
    folder = trial_folder(paths.as_path(SWEEP), 0)
    barrier, found = threading.Barrier(6), []

    def ask():
        barrier.wait()
        found.append(claim(folder))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (held,) = [each for each in found if each is not None]
    assert held.is_held()
    held.close()


def test_a_worker_of_another_host_that_is_gone_blocks_nobody_for_long(bucket, quick):
    folder = trial_folder(paths.as_path(SWEEP), 0)
    held_by(folder, beat=1)
    assert claim(folder) is None
    held_by(folder, beat=2)
    start = time.monotonic()
    while (taken := claim(folder)) is None:
        assert time.monotonic() < start + 30
        time.sleep(0.05)
    assert time.monotonic() - start >= lease.GONE
    # It comes back, and writes its own object; it has the trial no longer.
    held_by(folder, beat=3)
    assert taken.is_held() and claim(folder) is None
    taken.close()


def test_what_is_over_on_another_host_is_free_at_once(bucket):
    sweep = paths.as_path(SWEEP)
    folder = trial_folder(sweep, 0)
    held_by(folder, number=4, over=True)
    held_by(trial_folder(sweep, 1), number=2)
    assert claims.not_known_to_be_claimed(sweep, [0, 1, 7]) == [0, 7]
    with claim(folder) as taken:
        assert taken.is_held()
    names = [path.name for path in (folder / "claim.lock").iterdir()]
    assert names == ["000000005.json"]


def test_an_outage_makes_nobody_gone(bucket, quick):
    folder = trial_folder(paths.as_path(SWEEP), 0)
    held_by(folder)
    assert claim(folder) is None
    # Nobody could write for so long, and nobody could look.
    time.sleep(1.5 * lease.GONE)
    assert claim(folder) is None


def test_a_worker_that_was_taken_for_gone_lets_the_trial_go(
    bucket, quick, tmp_path, monkeypatch, caplog
):
    calls: list[str] = []
    sweep = in_bucket(tmp_path, SEEDS, trials=1)
    folder = trial_folder(sweep.folder, 0)
    train_made_up(monkeypatch, calls, lambda config: held_by(folder, 1) or 0.1)
    worker = worker_of(sweep)
    with worker._next() as trial:
        worker._train_to_end(trial)
    assert calls == ["0000"]
    assert (
        "trial 0000: goes on in another worker, as this one was cut off" in caplog.text
    )
    # It ended at its first evaluation.
    values = [value for _, value in worker_module._evaluations(folder, "mean_iou")]
    assert values == pytest.approx([0.4])
    # It has told nobody of a value, and the other one has all that it needs.
    assert worker._study.trials[0].state == optuna.trial.TrialState.RUNNING
    assert claims.read_trial(folder)["state"] == "running"


def test_workers_of_a_bucket_share_a_study(bucket, quick, tmp_path, monkeypatch):
    calls: list[str] = []
    train_made_up(monkeypatch, calls, lambda config: 0.1 + config.seed / 100)
    sweep = in_bucket(tmp_path, SEEDS, trials=3)
    workers = [worker_of(sweep), worker_of(sweep)]
    threads = [threading.Thread(target=each.run) for each in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(calls) == ["0000", "0001", "0002"]
    line = summary(open_study(*[sweep, workers[0]._probed]), sweep)
    assert line == (
        f"{SWEEP}: 3 trials finished (3 complete, 0 pruned, 0 failed); best mean_iou "
        "0.9600: trial 0002, seed=2"
    )
    study = optuna.load_study(study_name="sweep", storage=open_storage(SWEEP))
    assert [trial.value for trial in study.trials] == pytest.approx([0.8, 0.88, 0.96])
    runs = collect([SWEEP])
    assert [(run.workdir.name, run.state, run.value) for run in runs] == [
        ("0002", "complete", pytest.approx(0.96)),
        ("0001", "complete", pytest.approx(0.88)),
        ("0000", "complete", pytest.approx(0.8)),
    ]


def test_another_experiment_in_a_bucket_is_one_line(bucket, tmp_path):
    worker_of(in_bucket(tmp_path))
    config = tiny._tiny_config()
    config.batch_size = 4
    with pytest.raises(ConfigError) as error:
        worker_of(in_bucket(tmp_path, config=config))
    assert str(error.value) == (
        f"{SWEEP} belongs to a sweep of another experiment (batch_size: 8 there, 4 "
        "here); choose another --sweepdir"
    )


@pytest.mark.slow
def test_with_a_database_only_the_runs_are_in_the_bucket(
    bucket, quick, tmp_path, monkeypatch
):
    calls: list[str] = []
    train_made_up(monkeypatch, calls)
    url = f"sqlite:///{tmp_path}/study.db"
    sweep = in_bucket(tmp_path, SEEDS, trials=2, storage=url)
    worker_of(sweep).run()
    assert calls == ["0000", "0001"]
    names = sorted(path.name for path in sweep.folder.iterdir())
    assert names == ["sweep.json", "sweep.lock", "trials"]
    (sweep.folder / "sweep.json").unlink()
    with pytest.raises(ConfigError, match=f"belongs to another folder than {SWEEP}; "):
        worker_of(sweep)


def test_choosing_in_a_bucket_is_for_one_at_a_time(bucket, quick, monkeypatch):
    monkeypatch.setattr(claims, "_PATIENCE", 0.2)
    folder = paths.as_path(SWEEP)
    with choosing(folder), pytest.raises(CheckpointError) as error, choosing(folder):
        pass
    assert str(error.value).startswith(
        f"{SWEEP}: another worker is at work there (process {os.getpid()} on "
    )
    with choosing(folder):
        pass
