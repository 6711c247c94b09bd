"""What docs/tpu.md prints of the launchers is what they print."""

from tests import tiny
from tools import dry_runs

PAGE = (tiny.ROOT / "docs" / "tpu.md").read_text()


def test_the_page_is_up_to_date():
    assert dry_runs.with_outputs(PAGE) == PAGE, (
        "run python -m tools.dry_runs docs/tpu.md"
    )


def test_every_launcher_is_shown_and_would_be_noticed():
    for script in sorted((tiny.ROOT / "scripts" / "tpu").glob("*.py")):
        assert f"python scripts/tpu/{script.name} --dry_run" in PAGE
    other = PAGE.replace("# v5e:4x4 (v5litepod-16", "# v5e:4x4 (v5litepod-61")
    assert other.count("v5litepod-61") == 3
    assert dry_runs.with_outputs(other) == PAGE
