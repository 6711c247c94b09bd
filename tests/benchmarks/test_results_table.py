"""The table of speeds in docs/speed.md is what the results say."""

import json

import pytest

from benchmarks import results_table
from benchmarks.reports import FOLDER

REPORT = {
    "command": "python benchmarks/compare_torch.py --all",
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "0123456789abcdef",
    "modified": False,
    "environment": {
        "backend": "cpu",
        "device_kind": "cpu",
        "cpu_count": 2,
        "processor": "Some Processor",
        "jax": "1.2",
        "torch": "3.4",
    },
    "cases": [
        {
            "case": "segmentation/w18:infer:1x256x512",
            "dtype": "float32",
            "ours": "jax",
            "output_difference_in_std": 3e-6,
            "programs": {
                "jax": {
                    "median_s": 0.2,
                    "compile_s": 2.5,
                    "first_call_s": 0.3,
                    "memory": {"program": 5_000_000},
                },
                "torch_eager": {
                    "median_s": 0.4,
                    "first_call_s": 0.5,
                    "memory": {"peak": 6_000_000},
                },
                "torch_compile": {
                    "median_s": 0.25,
                    "first_call_s": 60.0,
                    "memory": {"peak": 7_000_000},
                },
                "torch_compile_freezing": {"failed": "RuntimeError: no compiler"},
            },
            "speed_ratio": {"torch_eager": 2.0, "torch_compile": 1.25},
            "best_torch": "torch_compile",
            "speed_ratio_to_best": 1.25,
            "flops_per_s": 3e10,
            "share_of_matmul_peak": 0.3,
        },
        {
            "case": "landmarks/w18:train:8x256x256",
            "dtype": "bfloat16",
            "failed": "ValueError: outputs differ",
        },
    ],
}


@pytest.fixture
def results(tmp_path):
    (tmp_path / "compare_torch_cpu.json").write_text(json.dumps(REPORT))
    return tmp_path


def cells(text, start):
    """Cells of the first line of a table that starts so."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_row_of_a_case_compares_with_the_best_of_pytorch(results):
    text = results_table.page_section(results)
    assert text.startswith(
        "2 CPU cores (Some Processor), JAX 1.2, PyTorch 3.4, 2026-01-02, commit "
        "0123456, `python benchmarks/compare_torch.py --all`:\n"
    )
    assert cells(text, "segmentation") == [
        "segmentation/w18 inference 1x256x512",
        *("200.0", "250.0 (compile)", "**1.25x**", "2.00x", "2.5", "60.0", "5", "7"),
    ]


def test_what_failed_is_shown_with_its_reason(results):
    name = "landmarks/w18 training 8x256x256 bfloat16"
    for text in (
        results_table.page_section(results),
        results_table.full_table(REPORT),
    ):
        assert cells(text, name)[:2] == [name, "failed"]
        assert f"{name} failed: ValueError: outputs differ" in text
        assert (
            "segmentation/w18 inference 1x256x512 with torch_compile_freezing failed: "
            "RuntimeError: no compiler"
        ) in text


def test_the_full_table_has_a_line_for_every_program(results):
    text = results_table.full_table(REPORT)
    programs = [line.split("|")[2].strip() for line in text.splitlines()[2:6]]
    assert programs == [
        *("jax (ours)", "torch_eager", "torch_compile (best)"),
        "torch_compile_freezing",
    ]
    assert "30.0 G, 30 %" in text and "3.0e-06" in text


def test_writing_makes_the_check_pass_and_a_changed_result_fail(
    results, tmp_path, capsys
):
    page = tmp_path / "page.md"
    begin, end = results_table.BEGIN, results_table.END
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    arguments = [f"--page={page}", f"--results={results}"]
    with pytest.raises(SystemExit) as stop:
        results_table.main([*arguments, "--check"])
    assert stop.value.code == 1
    results_table.main([*arguments, "--write"])
    results_table.main([*arguments, "--check"])
    text = page.read_text()
    assert text.startswith(f"before\n{begin}\n") and text.endswith(f"{end}\nafter\n")
    assert "old" not in text and "**1.25x**" in text
    changed = json.dumps(REPORT).replace(
        '"speed_ratio_to_best": 1.25', '"speed_ratio_to_best": 1.26'
    )
    (results / "compare_torch_cpu.json").write_text(changed)
    with pytest.raises(SystemExit) as stop:
        results_table.main([*arguments, "--check"])
    assert stop.value.code == 1
    assert "differs from the results" in capsys.readouterr().err


@pytest.mark.parametrize("page", ["", "{begin}", "{end}{begin}", "{begin}{begin}{end}"])
def test_a_page_without_a_place_for_the_table_is_refused(
    page, results, tmp_path, capsys
):
    path = tmp_path / "page.md"
    path.write_text(page.format(begin=results_table.BEGIN, end=results_table.END))
    with pytest.raises(SystemExit) as stop:
        results_table.main([f"--page={path}", f"--results={results}", "--check"])
    assert stop.value.code == 2
    assert "the page needs the lines" in capsys.readouterr().err


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        results_table.main([f"--results={tmp_path}"])
    assert stop.value.code == 2
    assert "no compare_torch_*.json in" in capsys.readouterr().err


@pytest.mark.skipif(
    not list(FOLDER.glob("compare_torch_*.json")), reason="nothing measured yet"
)
def test_the_page_shows_the_results_that_are_on_disk():
    # Where it differs, this ends with code 1, as shown above.
    assert results_table.main(["--check"]) is None
