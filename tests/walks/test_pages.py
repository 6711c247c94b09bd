"""Every command of README and docs is typed by a walk, or says why not; all are read."""

import functools
import inspect
import itertools
import json
import re
import shlex
import tomllib

import pytest

from hrnet_jax.config import experiment_flags
from hrnet_jax.config.assignments import check_key
from hrnet_jax.data import registry as data_registry
from hrnet_jax.errors import ConfigError
from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.registry import task_names
from tests import tiny
from tests.walks import (
    pages,
    test_notebook,
    test_objects,
    test_own_photographs,
    test_persons,
    test_pod,
)
from tests.walks.desk import CHEAP
from tests.walks.not_run import NOT_RUN

WALKS = (test_own_photographs, test_objects, test_persons, test_pod, test_notebook)
# Programs whose flags are read.
READ = re.compile(r"python ((?:scripts|benchmarks)/|-m benchmarks\.)")
SECTIONS = [
    "checkpoint",
    "dataset",
    "eval",
    "extra",
    "logging",
    "loss",
    "mesh",
    "model",
    "optimizer",
    "schedule",
]


@functools.cache
def typed() -> dict[str, str]:
    """What the walks type, as pages write it -> the walk."""
    return {
        pages.filled(pages.command(*place)): walk.__name__
        for walk in WALKS
        for place in walk.TABLE.values()
    }


TEXT = """
Type `python scripts/train.py
--workdir=RUN`, then `evaluate.py --workdir=RUN --split=val`, not `scripts/train.py`;
`make test` and `--workdir=RUN` are no scripts.

```
python scripts/plan.py --config=EXPERIMENT \\
    --topology=v5e:2x4   # minutes
XLA_FLAGS=--xla python scripts/models.py NAME --names
a line of output
```

    pip install -e .

```python
python = "make all"
```
"""


def test_commands_are_found_wherever_they_stand():
    assert [*map(pages.filled, pages.commands_in(TEXT))] == [
        "python scripts/plan.py --config=experiments/quickstart.py --topology=v5e:2x4",
        "XLA_FLAGS=--xla python scripts/models.py segmentation/w18 --names",
        "pip install -e .",
        "python scripts/train.py --workdir=runs/mine",
        "python scripts/evaluate.py --workdir=runs/mine --split=val",
        "make test",
    ]


def test_every_command_is_typed_by_a_walk_or_says_why_not():
    known = typed().keys() | NOT_RUN.keys()
    unknown = {
        text: page for text, page in pages.all_commands().items() if text not in known
    }
    assert not unknown, "neither in a walk's TABLE nor in tests/walks/not_run.py"


def test_what_is_not_run_is_in_a_page_and_in_no_walk():
    assert not NOT_RUN.keys() - pages.all_commands().keys(), "in no page any more"
    assert not NOT_RUN.keys() & typed().keys(), "typed by a walk"


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.__name__.split("_", 1)[1])
def test_a_walk_types_all_of_its_table(walk):
    source = inspect.getsource(walk)
    assert [name for name in walk.TABLE if source.count(f'"{name}"') < 2] == []


def test_what_walks_make_cheap_is_in_a_page():
    text = "".join(map(pages.read, pages.names()))
    assert [words for words in CHEAP if words not in text] == []


def test_blocks_have_a_language_that_is_read():
    found = {block.language for page in pages.names() for block in pages.blocks(page)}
    assert found == {"", "python"}


def _lines(command: str) -> list[list[str]]:
    """The command lines of our programs in a command, without `python`."""
    inner = (
        re.search(r'python (scripts/[^"]*)', command) if "python" in command else None
    )
    text = f"python {inner[1]}" if inner else command
    text = text.replace(" ...", "")
    if not READ.match(text):
        # Variables before it.
        text = re.sub(r"^(?:[A-Z_]+=\S* )+", "", text)
    if not READ.match(text):
        return []
    launcher, _, started = text.partition(" -- ")
    if started:
        return [[*shlex.split(launcher)[1:], "--", "x.py"], shlex.split(started)]
    return [shlex.split(text)[1:]]


def _read(lines, folder) -> list[dict]:
    """What the parsers say of command lines."""
    path = folder / "lines.json"
    path.write_text(json.dumps(lines))
    code = "import sys; from tests.walks import reading; reading.main(sys.argv[1])"
    process = tiny.run_python(
        f"import os; os.chdir({str(tiny.ROOT)!r}); {code}", str(path)
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, dict]:
    """Command line, or program alone -> what its parser says."""
    commands = [*pages.all_commands(), WRONG]
    lines = [line for command in commands for line in _lines(command)]
    found = _read(lines, tmp_path_factory.mktemp("lines"))
    return {shlex.join(line): answer for line, answer in zip(lines, found, strict=True)}


# Read with the others, so that reading can fail.
WRONG = "python scripts/evaluate.py --workdir=runs/mine --spilt=val"


# All programs are started for these: whole seconds for what is no part of the core.
@pytest.mark.slow
def test_every_command_line_is_one_that_its_program_takes(answers):
    wrong = {
        line: answer["wrong"] for line, answer in answers.items() if answer["wrong"]
    }
    assert "--spilt=val" in wrong.pop(shlex.join(_lines(WRONG)[0]))
    assert not wrong
    assert len(answers) > 60


@pytest.mark.slow
def test_every_flag_named_alone_is_one_of_a_program(answers):
    options = set(itertools.chain(*(answer["options"] for answer in answers.values())))
    unknown = [
        (page, token)
        for page in pages.names()
        for fragment in pages.fragments(page)
        for token in shlex.split(fragment)
        if token.startswith("--") and not token.startswith("--config.")
        if token.partition("=")[0] not in options | {"--help"}
    ]
    assert not unknown


@pytest.mark.parametrize("page", pages.names())
def test_every_key_of_a_configuration_is_one_of_some_task(page):
    changes = [
        token
        for fragment in pages.fragments(page)
        for token in shlex.split(pages.filled(fragment))
        if token.startswith("--config.") and "KEY" not in token
    ]
    changes += [
        f"--config.{key}" for key in pages.keys(page) if key.split(".")[0] in SECTIONS
    ]
    for change in changes:
        if not change.startswith("--config.model.options."):
            assert any(_accepts(task, change) for task in task_names()), change


def _accepts(task: str, change: str) -> bool:
    config = default_config(task)
    try:
        key, _, value = change.removeprefix("--config.").partition("=")
        check_key(key, config)
        if value:
            experiment_flags.with_changes(config, [change])
    except ConfigError:
        return False
    return True


def test_every_option_of_data_is_one_of_a_data_set():
    known = set(
        itertools.chain(*map(data_registry.option_kinds, data_registry.SOURCES))
    )
    named = [
        option
        for fragment in pages.fragments("data.md")
        for option in re.findall(r"--option (\w+)=", fragment)
    ]
    assert len(named) > 5
    assert not set(named) - known


def test_every_extra_and_every_target_is_there():
    text = (tiny.ROOT / "pyproject.toml").read_text()
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    targets = re.findall(
        r"^\.PHONY: (.+)$", (tiny.ROOT / "Makefile").read_text(), re.MULTILINE
    )
    for command in pages.all_commands():
        if command.startswith("pip install"):
            named = re.findall(r"\[(.*)\]", command)
            assert not set(",".join(named).split(",")) - {"", *extras}, command
        if command.startswith("make "):
            assert command.split()[1] in targets, command


def test_python_blocks_compile():
    found = [block for page in pages.names() for block in pages.python_blocks(page)]
    assert len(found) > 10
    for block in found:
        compile(block.text, block.page, "exec")
