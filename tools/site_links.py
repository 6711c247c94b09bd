"""Hook of MkDocs: links out of `docs/` become the names of files of the repository.

Pages are read on a code host as well, where `../benchmarks/README.md` is a link. The
site holds `docs/` alone.
"""

import re

_OUT = re.compile(r"\[([^\]\[]+)\]\s*\((?:\.\./)+([^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """The text of a page, in which a link out of `docs/` is its text and the path."""
    return _OUT.sub(_named, markdown)


def _named(link: re.Match) -> str:
    text, path = link.group(1).strip(), link.group(2)
    return text if path in text else f"{text} (`{path}`)"
