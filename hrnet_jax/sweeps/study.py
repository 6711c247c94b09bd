"""The study of a sweep: what was tried, shared by all of its workers."""

import dataclasses
import json
import os
import pathlib
import secrets
import warnings
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.experiment.defaults import CHANGEABLE, default_config, to_json
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.registry import get_spec
from hrnet_jax.storage import paths
from hrnet_jax.sweeps.claims import choosing
from hrnet_jax.sweeps.journal import ObjectJournal
from hrnet_jax.sweeps.space import Probed, Space, grid_of, probe
from hrnet_jax.workdir.files import read_json, write_json

SAMPLERS = ("grid", "random", "tpe")
PRUNERS = ("median", "hyperband", "none")

DIRECTIONS = {
    "max": optuna.study.StudyDirection.MAXIMIZE,
    "min": optuna.study.StudyDirection.MINIMIZE,
}

JOURNAL_FILE = "journal.log"
# In a bucket.
JOURNAL_FOLDER = "journal"
SWEEP_FILE = "sweep.json"

# The user attribute of a study that says what it is of.
_FINGERPRINT = "sweep"
# May differ from command to command. Unlike a run's, evaluations may not: trials are
# compared by them.
_PLACES = tuple(key for key in CHANGEABLE if key != "eval")

# Differences that an error names.
_NAMED = 6


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What a command asks for.

    Attributes:
        folder: of the sweep, maybe in a bucket.
        config: of the experiment, before a trial changes it.
        space: what trials change.
        trials: number of finished trials to end with; 0 for all entries of a list or
            points of a grid.
        sampler: one of `SAMPLERS`; empty for `tpe`, or the order of a list.
        pruner: one of `PRUNERS`.
        storage: URL of SQLAlchemy; empty for a journal in the folder.
        seed: of the sampler.
        fixed: dotted keys that the command sets for all trials.
    """

    folder: pathlib.Path
    config: ml_collections.ConfigDict
    space: Space
    trials: int = 0
    sampler: str = ""
    pruner: str = "median"
    storage: str = ""
    seed: int = 0
    fixed: tuple[str, ...] = ()

    @property
    def metric(self) -> tuple[str, str]:
        """Name of what ranks the checkpoints of a trial, and so trials; `max` or `min`."""
        ranking = get_spec(self.config.task).best_metric
        if ranking is None:
            raise ConfigError(
                f"the task {self.config.task!r} has no metric that ranks its trials"
            )
        return ranking


def checked(sweep: Sweep) -> tuple[Sweep, Probed]:
    """A sweep whose number of trials and sampler are known, and fit its space.

    Raises:
        ConfigError: for a configuration that cannot be trained, a key that nobody
            reads, and options that do not fit the space.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    read_config(sweep.config, trainable=True)
    probed = probe(sweep.space, sweep.config)
    for key in sorted(set(probed.keys) & set(sweep.fixed)):
        raise ConfigError(
            f"--config.{key} would change nothing: {sweep.space.path} sets {key!r} for "
            "every trial"
        )
    sampler, count = sweep.sampler, len(sweep.space.entries)
    if count:
        if sampler not in ("", "grid"):
            raise ConfigError(
                f"--sampler={sampler}, but {sweep.space.path} lists its {count} trials; "
                "expected --sampler=grid, which takes them in order"
            )
        sampler = "grid"
    elif sampler == "grid":
        grid = grid_of(sweep.space, probed)
        count = int(np.prod([len(points) for points in grid.values()]))
    trials = sweep.trials or count
    if not trials:
        raise ConfigError(
            "--trials is missing; only a list and a grid tell how many there are"
        )
    if count and trials > count:
        raise ConfigError(
            f"--trials={trials}, but {sweep.space.path} has {count} of them; expected "
            "as many at most"
        )
    sampler = sampler or "tpe"
    return dataclasses.replace(sweep, trials=trials, sampler=sampler), probed


def open_study(sweep: Sweep, probed: Probed) -> optuna.Study:
    """The study of a sweep, begun if there is none.

    Raises:
        ConfigError: if the study there is of another experiment, or of another folder,
            or the storage cannot be reached.
    """
    sweep.folder.mkdir(parents=True, exist_ok=True)
    name = paths.name_of(paths.absolute(sweep.folder))
    fingerprint = _fingerprint(sweep, probed)
    with choosing(sweep.folder):
        try:
            study = optuna.create_study(
                storage=open_storage(sweep.folder, sweep.storage),
                study_name=name,
                load_if_exists=True,
                direction=DIRECTIONS[sweep.metric[1]],
                pruner=optuna.pruners.NopPruner(),
            )
            stored = study.user_attrs.get(_FINGERPRINT)
        except optuna.exceptions.StorageInternalError as error:
            raise ConfigError(
                f"--storage: {_reason(error.__cause__ or error)}; expected a database "
                "that can be reached, as SQLAlchemy writes it"
            ) from error
        if stored is None:
            study.set_user_attr(
                _FINGERPRINT, fingerprint | {"id": secrets.token_hex(8)}
            )
            stored = study.user_attrs[_FINGERPRINT]
        else:
            # A study of an earlier version lacks the keys that came later.
            defaults = flat(to_json(default_config(sweep.config.task)))
            here = fingerprint["config"]
            later = {key: defaults[key] for key in here if key in defaults}
            there = stored | {"config": later | stored["config"]}
            _check_same(there, fingerprint, sweep.folder)
        _check_folder(study, stored["id"], sweep.folder)
    return study


def open_storage(folder: str | os.PathLike, url: str = "") -> BaseStorage:
    """Where the study of a sweep is kept.

    Args:
        folder: of the sweep, maybe in a bucket.
        url: of SQLAlchemy; empty for the journal.

    Raises:
        ConfigError: if the storage is not one, or needs a package that is missing.
        CheckpointError: if the journal is damaged.
    """
    folder = paths.as_path(folder)
    if not url and paths.is_remote(folder):
        return JournalStorage(ObjectJournal(folder / JOURNAL_FOLDER))
    if not url:
        # A whole path, as its lock is a link to it.
        return _journal(str((folder / JOURNAL_FILE).absolute()))
    try:
        return RDBStorage(url, heartbeat_interval=None)
    except optuna.exceptions.StorageInternalError:
        raise
    except Exception as error:  # of SQLAlchemy and of many drivers
        raise ConfigError(
            f"--storage: {_reason(error)}; expected the URL of a database, such as "
            "sqlite:///FILE.db or postgresql+psycopg2://USER@HOST/NAME, whose driver is "
            "installed"
        ) from error


def _journal(path: str) -> BaseStorage:
    try:
        return JournalStorage(JournalFileBackend(path))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is damaged ({_reason(error)}); expected the journal of a sweep"
        ) from error


def make_sampler(
    sweep: Sweep, probed: Probed, number: int
) -> optuna.samplers.BaseSampler:
    """The sampler for one trial.

    Its random numbers are those of the trial's number, so that workers do not all try
    the same, and a sweep tries the same whichever of its workers is first.
    """
    if sweep.space.entries:
        return optuna.samplers.RandomSampler(
            seed=sweep.seed
        )  # of which nothing is asked
    if sweep.sampler == "grid":
        return _Grid(grid_of(sweep.space, probed), seed=sweep.seed)
    seed = int(np.random.SeedSequence([sweep.seed, number]).generate_state(1)[0])
    if sweep.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


class _Grid(optuna.samplers.GridSampler):
    """Points by the number of the trial."""

    def after_trial(self, study, trial, state, values) -> None:
        """Nothing: the original ends a loop of Optuna's, of which there is none here."""


def make_pruner(name: str, first_step: int) -> optuna.pruners.BasePruner:
    """A pruner.

    Args:
        name: one of `PRUNERS`.
        first_step: of the first evaluation, the least that hyperband gives a trial.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=4)
        if name == "hyperband":
            return optuna.pruners.HyperbandPruner(min_resource=max(1, first_step))
        return optuna.pruners.NopPruner()


def _fingerprint(sweep: Sweep, probed: Probed) -> dict[str, Any]:
    """What has to be the same for all workers of a study, as JSON values."""
    config = {
        key: value
        for key, value in flat(to_json(sweep.config)).items()
        if not _is_in(key, (*_PLACES, *probed.keys))
    }
    space = {
        name: optuna.distributions.distribution_to_json(distribution)
        for name, distribution in probed.distributions.items()
    }
    entries = list(sweep.space.entries)
    found = {"config": config, "keys": probed.keys, "space": space, "entries": entries}
    return json.loads(json.dumps(found))


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value, of a configuration as JSON values."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _is_in(key: str, sections: tuple[str, ...]) -> bool:
    return any(f"{key}.".startswith(f"{section}.") for section in sections)


def _check_same(there: dict, here: dict, folder: pathlib.Path) -> None:
    """Checks the fingerprint of the study that is there.

    Raises:
        ConfigError: naming the keys in which it differs.
    """
    found = []
    swept = [set(side["keys"]) for side in (there, here)]
    for key in sorted(swept[0] ^ swept[1]):
        words = [
            "swept" if key in keys else repr(side["config"].get(key))
            for keys, side in zip(swept, (there, here), strict=True)
        ]
        found.append(f"{key}: {words[0]} there, {words[1]} here")
    for part, what in (("config", ""), ("space", "range of ")):
        a, b = there[part], here[part]
        found += [
            f"{what}{key}: {_shown(a.get(key))} there, {_shown(b.get(key))} here"
            for key in sorted(a.keys() | b.keys())
            if a.get(key) != b.get(key) and key not in swept[0] ^ swept[1]
        ]
    if there["entries"] != here["entries"] and not found:
        found.append("the trials that are listed")
    if found:
        more = len(found) - _NAMED
        raise ConfigError(
            f"{folder} belongs to a sweep of another experiment "
            f"({'; '.join(found[:_NAMED])}{f'; {more} more' if more > 0 else ''}); "
            "choose another --sweepdir"
        )


def _shown(value: Any) -> str:
    """A value, or a distribution without what Optuna wraps it in."""
    if isinstance(value, str) and value.startswith('{"name"'):
        attributes = json.loads(value)["attributes"]
        return str(attributes.get("choices", attributes))
    return repr(value)


def _check_folder(study: optuna.Study, token: str, folder: pathlib.Path) -> None:
    """Checks that a study and a folder belong together, of which both hold a token.

    Raises:
        ConfigError: if not: two workers could then train one trial.
    """
    path = folder / SWEEP_FILE
    if path.exists():
        if read_json(path).get("id") == token:
            return
        raise ConfigError(
            f"{folder} belongs to another study than the one in --storage; choose "
            "another --sweepdir, or the storage that its first command had"
        )
    if study.trials:
        raise ConfigError(
            f"the study {study.study_name!r} in --storage belongs to another folder "
            f"than {folder}; all of its workers need the same --sweepdir, on a file "
            "system that they share"
        )
    write_json(path, {"id": token, "study": study.study_name})


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
