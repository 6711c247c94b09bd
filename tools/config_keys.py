"""Writes the list of all keys into docs/configuration.md, from the code's own words.

    python -m tools.config_keys docs/configuration.md

Tables are made from the options' dataclasses: names, defaults of the task, and what
the docstrings say of them. What stands between the two marks is replaced.
"""

import dataclasses
import inspect
import pathlib
import re
import sys
from collections.abc import Iterator

from hrnet_jax.experiment.defaults import default_config
from hrnet_jax.experiment.schema import TrainConfig
from hrnet_jax.registry import get_task, task_names

BEGIN, END = "<!-- keys -->", "<!-- end of keys -->"

# Tasks that train.
TASKS = task_names(trainable=True)
# Where a section of a task is in the configuration.
SECTIONS = {
    "Loss": "loss",
    "Augmentation": "dataset.augmentation",
    "Inference": "eval.inference",
}


def meanings(cls: type) -> dict[str, str]:
    """What the docstring of a dataclass says of its fields."""
    text = inspect.getdoc(cls).partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in found}


def rows_of(cls: type, defaults: dict, path: str) -> Iterator[str]:
    """A table row for every key of a section, nested ones included."""
    said = meanings(cls)
    for field in dataclasses.fields(cls):
        dotted, value = f"{path}{field.name}", defaults[field.name]
        if dataclasses.is_dataclass(field.type):
            yield from rows_of(field.type, value, f"{dotted}.")
        elif dotted not in SECTIONS.values():
            shown = said[field.name].replace("|", "\\|")
            yield f"| `{dotted}` | {_default(value)} | {shown} |"


def tables() -> str:
    """All keys, first those of every task."""
    defaults = default_config("segmentation").to_dict()
    parts = ["### Every task", _table(rows_of(TrainConfig, defaults, ""))]
    for task in TASKS:
        defaults = default_config(task).to_dict()
        rows = []
        for attribute, dotted in SECTIONS.items():
            section = defaults
            for key in dotted.split("."):
                section = section[key]
            cls = getattr(get_task(task), attribute)
            rows += rows_of(cls, section, f"{dotted}.")
        parts += [f"### `task={task}`", _table(rows)]
        recipe = get_task(task).recipe
        if recipe:
            given = ", ".join(f"`{key}={value!r}`" for key, value in recipe.items())
            parts.append(f"Other defaults than above: {given}.")
    return "\n\n".join(parts)


def _table(rows: Iterator[str] | list[str]) -> str:
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows])


def _default(value: object) -> str:
    return "" if value in ("", None, (), {}) else f"`{value!r}`"


def with_tables(page: str) -> str:
    """The page with the tables between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    path = pathlib.Path(sys.argv[1])
    path.write_text(with_tables(path.read_text()))
