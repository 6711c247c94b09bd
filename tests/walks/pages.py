"""What README and docs tell a user to type: commands, their parts, Python blocks."""

import dataclasses
import functools
import itertools
import re

from tests import tiny

README = "README.md"

# How a line that is to be typed begins; before it, variables may be set.
_PROGRAMS = r"(?:python|make|pip|gcloud|srun)"
_COMMAND = re.compile(rf"(?:[A-Z_]+=\S* )*{_PROGRAMS} \S")
# Tables leave `python` and sometimes the folder out, and name scripts in passing.
_SCRIPT = re.compile(r"(?:scripts/)?(\w+\.py) \S")

# What stands for something of the reader's, and what that is here.
PLACEHOLDERS = {
    "RUN": "runs/mine",
    "EXPERIMENT": "experiments/quickstart.py",
    "NAME": "segmentation/w18",
    "FILE": "network.svg",
    "DIR": "folder",
    "FOLDER": "folder",
    "OTHER": "other",
    "N": "4",
    "M": "2",
}

_FENCE = re.compile(r"^``` *(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_COMMENT = re.compile(r"\s+# .*")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: name of its page.
        language: `python`, or empty.
        text: its lines.
    """

    page: str
    language: str
    text: str


@functools.cache
def names() -> tuple[str, ...]:
    """All pages: README.md, then those of `docs/`."""
    return (README, *sorted(path.name for path in (tiny.ROOT / "docs").glob("*.md")))


@functools.cache
def read(page: str) -> str:
    """The text of a page."""
    folder = tiny.ROOT if page == README else tiny.ROOT / "docs"
    return (folder / page).read_text()


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(page, *found.groups()) for found in _FENCE.finditer(read(page))]


def python_blocks(page: str) -> list[Block]:
    """Those in Python."""
    return [block for block in blocks(page) if block.language == "python"]


def spans(text: str) -> list[str]:
    """What stands between backticks in a text outside its blocks, line ends as blanks."""
    return [" ".join(span.split()) for span in _SPAN.findall(_FENCE.sub("", text))]


def commands_in(text: str) -> tuple[str, ...]:
    """What a text has a user type, each once: `python scripts/...`, on one line."""
    found = []
    for language, lines in _FENCE.findall(text):
        if not language:
            whole = lines.replace("\\\n", " ").splitlines()
            found += [_COMMENT.sub("", line) for line in whole if _COMMAND.match(line)]
    for line in _FENCE.sub("", text).splitlines():
        if line.startswith("    ") and _COMMAND.match(line.strip()):
            found.append(_COMMENT.sub("", line))
    for span in spans(text):
        if _COMMAND.match(span):
            found.append(span)
        elif script := _SCRIPT.match(span):
            found.append(f"python scripts/{script[1]}{span[script.end(1) :]}")
    return tuple(dict.fromkeys(" ".join(command.split()) for command in found))


@functools.cache
def commands(page: str) -> tuple[str, ...]:
    """Those of a page."""
    return commands_in(read(page))


def filled(command: str) -> str:
    """A command with `PLACEHOLDERS` put in."""
    words = "|".join(PLACEHOLDERS)
    return re.sub(
        rf"(?<=[= ])({words})(?=[ :,]|$)", lambda word: PLACEHOLDERS[word[1]], command
    )


@functools.cache
def all_commands() -> dict[str, str]:
    """Every command of every page with placeholders put in -> the page, once each."""
    return {filled(text): page for page in reversed(names()) for text in commands(page)}


def files_in_table(page: str, header: str) -> list[str]:
    """The files that the first column of a table names.

    Args:
        page: the name of its page.
        header: of the first column.
    """
    _, _, rest = read(page).partition(f"| {header} |")
    rows = itertools.takewhile(lambda line: line.startswith("|"), rest.splitlines()[1:])
    return [name for row in rows for name in _SPAN.findall(row.split("|")[1])]


def fragments(page: str) -> list[str]:
    """Flags that a page names without their command."""
    return [span for span in spans(read(page)) if re.match(r"--[a-z]", span)]


def keys(page: str) -> list[str]:
    """`KEY` and `KEY=VALUE` of configurations that a page names."""
    return [
        span
        for span in spans(read(page))
        if re.fullmatch(r"[a-z_]+\.[a-z_.]+(=\S+)?", span)
    ]


def command(page: str, beginning: str) -> str:
    """The one command of a page that begins so.

    Raises:
        ValueError: if there is none, or more than one.
    """
    found = [text for text in commands(page) if text.startswith(beginning)]
    exact = [text for text in found if text == beginning]
    if len(exact or found) != 1:
        raise ValueError(f"{page} has {len(found)} commands {beginning!r}: {found}")
    return (exact or found)[0]
