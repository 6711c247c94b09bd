"""The sweeps that ship: their keys are those of their experiments."""

import re

import optuna
import pytest

from hrnet_jax.experiment.loading import load_config
from hrnet_jax.experiment.schema import read_config
from hrnet_jax.registry import create_model, get_task
from hrnet_jax.sweeps.space import probe, read_space, with_values
from tests import tiny

FOLDER = tiny.ROOT / "experiments"
# Space -> the experiments that it is for.
SHIPPED = {
    "quickstart.py": ["quickstart.py", "quickstart.py:debug"],
    "sweeps/landmarks.py": [
        *("landmarks/w300.py", "landmarks/w300.py:fast"),
        *("landmarks/wflw.py", "landmarks/wflw.py:modern"),
    ],
    "sweeps/representations.py": [
        *("segmentation/camvid.py", "segmentation/cityscapes.py:variant=w18")
    ],
}
PAIRS = [(space, name) for space, names in SHIPPED.items() for name in names]


def test_all_of_them_are_known_here():
    found = {f"sweeps/{path.name}" for path in (FOLDER / "sweeps").glob("*.py")}
    assert found == SHIPPED.keys() - {"quickstart.py"}


@pytest.mark.parametrize(("space", "experiment"), PAIRS)
def test_every_key_is_one_of_the_experiment(space, experiment):
    space, config = read_space(FOLDER / space), load_config(FOLDER / experiment)
    probed = probe(space, config)
    assert len(probed.keys) > 0
    assert len(space.entries) == 3 or len(probed.distributions) >= 2
    tried = list(space.entries)
    if not tried:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
        tried = [space.values(study.ask()) for _ in range(8)]
    for values in tried:
        changed = with_values(config, values)
        options = read_config(changed, trainable=True)
        get_task(options.task).Loss(**changed.loss.to_dict())
        create_model(options.model.name)


def test_docstrings_name_the_command():
    for path in (FOLDER / "sweeps").glob("*.py"):
        text = path.read_text()
        assert f"--space=experiments/sweeps/{path.name}" in text
        (experiment,) = re.findall(r"--config=experiments/(\S+)", text)
        assert experiment in SHIPPED[f"sweeps/{path.name}"]
