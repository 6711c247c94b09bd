"""The documentation as a site: complete, without warnings, of one server."""

import json
import re
import subprocess
import sys

import pytest
import yaml

import hrnet_jax
from tests import tiny
from tools.site_links import on_page_markdown

DOCS = tiny.ROOT / "docs"
# Modules whose members the page takes from the module, not name by name.
WHOLE = {"pretrained": "hrnet_jax.pretrained", "HRNetError": "hrnet_jax.errors"}


def test_every_page_has_its_place():
    def pages(entries):
        for entry in entries:
            for value in entry.values():
                yield from pages(value) if isinstance(value, list) else [value]

    text = (tiny.ROOT / "mkdocs.yml").read_text()
    listed = list(pages(yaml.safe_load(text)["nav"]))
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


def test_every_public_name_is_in_the_api():
    blocks = re.findall(r"^::: (\S+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    homes = hrnet_jax._HOMES
    expected = {WHOLE.get(name, f"{homes[name]}.{name}") for name in hrnet_jax.__all__}
    assert set(blocks) == expected and len(blocks) == len(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see [the list](../a/b.md).", "see the list (`a/b.md`)."),
        ("see [its\nlist](../../a.py#L3)", "see its\nlist (`a.py`)"),
        ("[`a/b.md`](../a/b.md)", "`a/b.md`"),
        ("[data](data.md), [x](../a.md)", "[data](data.md), x (`a.md`)"),
        ("![a picture](network.png)", "![a picture](network.png)"),
    ],
)
def test_links_out_of_the_pages_become_paths(text, expected):
    assert on_page_markdown(text, page=None, config=None, files=None) == expected


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of a site, and what its building printed."""
    pytest.importorskip("mkdocs", reason="extra [docs]")
    folder = tmp_path_factory.mktemp("site")
    process = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={folder}"],
        cwd=tiny.ROOT,
        env=tiny.environment(NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return folder, process.stderr


@pytest.mark.slow
def test_it_is_built_without_a_warning(site):
    assert "WARNING" not in site[1]


@pytest.mark.slow
def test_options_and_signatures_are_found_by_searching(site):
    index = json.loads((site[0] / "search" / "search_index.json").read_text())
    text = {entry["location"]: entry["text"] for entry in index["docs"]}
    assert any("checkpoint.every_steps" in words for words in text.values())
    place = "api.html#hrnet_jax.registry.create_model"
    assert "model_names() lists them" in re.sub("<[^>]+>", "", text[place])


@pytest.mark.slow
def test_nothing_is_fetched_from_another_server(site):
    for path in site[0].glob("*.html"):
        fetched = re.findall(r"<(?:script|img|link)\b[^>]*>", path.read_text())
        far = [tag for tag in fetched if re.search(r"(?:src|href)=\"?https?:", tag)]
        assert [tag for tag in far if "canonical" not in tag] == [], path.name
