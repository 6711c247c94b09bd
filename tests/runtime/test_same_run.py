"""What several processes of one run must have in common."""

import pytest

from hrnet_jax.errors import CheckpointError, ConfigError
from hrnet_jax.runtime import processes
from hrnet_jax.runtime.same_run import check_same_folder, check_same_run


@pytest.fixture
def compared(monkeypatch):
    """Compares with what was given first, as process 0 would."""
    seen = []

    def check_equal(what, text):
        seen.append(text)
        if text != seen[0]:
            raise ConfigError(f"another {what}")

    monkeypatch.setattr(processes, "check_equal", check_equal)


CONFIG = {"batch_size": 8, "dataset": {"name": "shapes", "data_dir": "a", "threads": 4}}


def test_hosts_may_read_from_other_places(compared):
    check_same_run(CONFIG)
    other = {"name": "shapes", "data_dir": "b", "threads": 1, "workers": 2}
    check_same_run(CONFIG | {"dataset": other})
    assert CONFIG["dataset"]["data_dir"] == "a"


@pytest.mark.parametrize(
    "other", [{"batch_size": 4}, {"dataset": {"name": "faces"}}, {"seed": 1}]
)
def test_nothing_else_may_differ(other, compared):
    check_same_run(CONFIG)
    with pytest.raises(ConfigError, match="another configuration"):
        check_same_run(CONFIG | other)


def test_neither_may_what_is_evaluated(compared):
    check_same_run(CONFIG, "best", "val")
    with pytest.raises(ConfigError):
        check_same_run(CONFIG, "best", "train")


def test_a_folder_that_others_do_not_see_is_named(tmp_path):
    (tmp_path / "config.json").touch()
    check_same_folder(tmp_path / "config.json", patience=0)
    with pytest.raises(CheckpointError, match="gone.json: not to be seen"):
        check_same_folder(tmp_path / "gone.json", patience=0)
