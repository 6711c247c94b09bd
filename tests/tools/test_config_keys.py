"""The documented keys are those that are read."""

import pytest

from hrnet_jax.experiment.defaults import default_config
from tests import tiny
from tools import config_keys

PAGE = (tiny.ROOT / "docs" / "configuration.md").read_text()


def test_the_page_is_up_to_date():
    assert config_keys.with_tables(PAGE) == PAGE, (
        "run python -m tools.config_keys docs/configuration.md"
    )


@pytest.mark.parametrize("task", config_keys.TASKS)
def test_every_key_of_a_task_is_listed(task):
    def keys(section, path=""):
        for key, value in section.items():
            if isinstance(value, dict) and value:
                yield from keys(value, f"{path}{key}.")
            else:
                yield path + key

    for dotted in keys(default_config(task).to_dict()):
        assert f"| `{dotted}` |" in PAGE
