"""Pages as a reader takes them: balanced, with tables, pictures and data."""

import html.parser
import importlib.util
import json
import sys

import pytest

from hrnet_jax.config import command_line
from tests import tiny

_VOID = {"br", "img", "input", "link", "meta"}


class Page(html.parser.HTMLParser):
    """A page that was read; fails where it is not balanced or an id comes twice.

    Attributes:
        tables: rows of cells of each table.
        elements: (name, attributes) of all elements, in order.
        data: id -> content of each JSON script.
        text: what is to be read, scripts and styles left out.
    """

    def __init__(self, source: str):
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self.elements: list[tuple[str, dict]] = []
        self.data: dict[str, object] = {}
        self.text = ""
        self._open: list[tuple[str, dict]] = []
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {self._open}"
        ids = [found["id"] for _, found in self.elements if "id" in found]
        assert len(ids) == len(set(ids)), ids

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        assert len(found) == len(attrs), f"an attribute twice in {tag}"
        self.elements.append((tag, found))
        if tag in _VOID:
            return
        self._open.append((tag, found))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self._open[-1][0] == tag, f"</{tag}> within {self._open[-1]}"
        self._open.pop()

    def handle_data(self, data):
        name, found = self._open[-1] if self._open else ("", {})
        if found.get("type") == "application/json":
            self.data[found["id"]] = json.loads(data)
        elif name not in ("script", "style"):
            self.text += data
            if any(tag in ("td", "th") for tag, _ in self._open):
                self.tables[-1][-1][-1] += data

    def table(self, first: str) -> dict[str, list[str]]:
        """First cell -> the others, of the one table whose first cell says this."""
        (rows,) = (rows for rows in self.tables if rows[0][0] == first)
        return {row[0]: row[1:] for row in rows}

    def all(self, tag: str) -> list[dict]:
        """Attributes of all elements of a name."""
        return [found for name, found in self.elements if name == tag]


def run_script(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *rest
) -> tuple[int, str, str]:
    """Starts a script in this process; returns exit code, output and errors."""
    spec = importlib.util.spec_from_file_location(
        f"{name}_script", tiny.ROOT / "scripts" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(command_line, "show_log", lambda: None)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, rest)])
    code = 0
    try:
        module.main()
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()
