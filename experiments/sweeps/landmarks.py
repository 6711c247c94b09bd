"""The landmark recipe: learning rate, width of the targets, and loss.

    python scripts/sweep.py --config=experiments/landmarks/w300.py \
        --space=experiments/sweeps/landmarks.py --sweepdir=runs/landmarks \
        --trials=40 --pruner=hyperband

For 300W and WFLW, with their options: `:fast`, and `:modern` of WFLW.
"""

from typing import Any


def get_sweep(trial: Any) -> dict[str, Any]:
    """What a trial changes."""
    sigma = trial.suggest_float("sigma", 1.0, 3.0, step=0.5)
    return {
        "schedule.learning_rate": trial.suggest_float("rate", 1e-4, 5e-3, log=True),
        "loss.name": trial.suggest_categorical("loss", ["mse", "adaptive_wing"]),
        "loss.sigma": sigma,
        # Heatmaps are decoded with the width that they were made with.
        "eval.inference.dark_sigma": sigma,
    }
