"""How far a sweep is."""

import optuna
from optuna.trial import FrozenTrial, TrialState

from hrnet_jax.sweeps.study import Sweep

# The user attribute of a trial that holds its values for the configuration.
VALUES = "values"
# State in `trial.json` -> that of the study, of trials that came to an end.
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def is_finished(study: optuna.Study, trials: int) -> bool:
    """Whether so many trials came to an end, by whichever worker."""
    return len(finished(study)) >= trials


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that came to an end."""
    states = tuple(STATES.values())
    return study.get_trials(deepcopy=False, states=states)


def summary(study: optuna.Study, sweep: Sweep) -> str:
    """One line about a finished sweep."""
    ended = finished(study)
    counts = [
        f"{sum(trial.state == state for trial in ended)} {word}"
        for word, state in STATES.items()
    ]
    text = f"{sweep.folder}: {len(ended)} trials finished ({', '.join(counts)})"
    if not any(trial.state == TrialState.COMPLETE for trial in ended):
        return text
    best = study.best_trial
    values = best.user_attrs.get(VALUES, {})
    said = " ".join(f"{key}={value}" for key, value in values.items())
    return f"{text}; best {sweep.metric[0]} {best.value:.4f}: trial {best.number:04d}, {said}"
