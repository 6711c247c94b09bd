"""Results carry where they come from, and tables read in a terminal."""

import pytest

from benchmarks import reports
from hrnet_jax.errors import ConfigError


def test_a_report_says_how_and_where_it_was_made():
    report = reports.provenance("compare_torch", ["--case", "w18:infer:1x2x3 4"])
    assert report["command"] == (
        "python benchmarks/compare_torch.py --case 'w18:infer:1x2x3 4'"
    )
    assert report["date"].endswith("+00:00")
    assert report["environment"]["backend"] == "cpu"
    assert report["environment"]["memory_bytes"] > 1e8
    assert {"jax", "python", "processor", "cpu_count", "system"} <= set(
        report["environment"]
    )


def test_outside_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(reports, "ROOT", tmp_path)
    report = reports.provenance("compare_torch", [])
    assert report["commit"] is None and report["modified"] is None


def test_a_report_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "report.json"
    reports.write_report(path, {"command": "python", "cases": [1.5]})
    assert reports.read_report(path) == {"command": "python", "cases": [1.5]}
    assert [entry.name for entry in path.parent.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "report.json does not exist"),
        ("{", "report.json is not JSON"),
        ("[]", "report.json is not a report of these benchmarks"),
        ('{"cases": []}', "report.json is not a report of these benchmarks"),
    ],
)
def test_files_that_are_no_reports_are_refused(content, message, tmp_path):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        reports.read_report(path)
