"""Columns of tables line up."""

from hrnet_jax.config.tables import columns, markdown


def test_columns_are_as_wide_as_their_widest_cells():
    rows = [("model", "ms", "GB/s"), ("w18", "1.5", "12"), ("  wide", "110.25", "-")]
    assert columns(rows, "lr") == [
        "model       ms  GB/s",
        "w18        1.5    12",
        "  wide  110.25     -",
    ]


def test_lines_end_with_their_last_cell():
    assert columns([("a", "b"), ("long", "longer")]) == ["a     b", "long  longer"]


def test_a_row_may_end_early():
    rows = [("a heading",), ("  label", "1", "2"), ("", "10")]
    assert columns(rows, "lr") == ["a heading", "  label     1  2", "           10"]


def test_no_rows_are_no_lines():
    assert columns([]) == []


def test_markdown_lines_up_and_says_the_side_of_columns():
    text = markdown(("case", "ms"), [("w18", "1.5"), ("a longer one", "10.25")])
    assert text.splitlines() == [
        "| case         |    ms |",
        "| ------------ | ----: |",
        "| w18          |   1.5 |",
        "| a longer one | 10.25 |",
    ]
    assert markdown(("a", "b"), [], "l") == "| a | b |\n| - | - |"
