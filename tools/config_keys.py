"""Writes the list of all keys into docs/configuration.md, from the code's own words.

    python -m tools.config_keys docs/configuration.md

Tables are made from the options' dataclasses: names, defaults of the task, and what
the docstrings say of them. What stands between the two marks is replaced.
"""

import pathlib
import sys
from collections.abc import Iterable
from typing import Any

from hrnet_jax.config.keys import Key
from hrnet_jax.experiment.defaults import default_config, value_of
from hrnet_jax.experiment.schema import TASK_SECTIONS, keys_of_run
from hrnet_jax.registry import get_task, task_names

BEGIN, END = "<!-- keys -->", "<!-- end of keys -->"

# Tasks that train.
TASKS = task_names(trainable=True)


def tables() -> str:
    """All keys, first those of every task."""
    common = [key for key in keys_of_run("segmentation") if not _is_of_task(key)]
    parts = ["### Every task", _table(common, default_config("segmentation"))]
    for task in TASKS:
        own = [key for key in keys_of_run(task) if _is_of_task(key)]
        parts += [f"### `task={task}`", _table(own, default_config(task))]
        recipe = get_task(task).recipe
        if recipe:
            given = ", ".join(f"`{key}={value!r}`" for key, value in recipe.items())
            parts.append(f"Other defaults than above: {given}.")
    return "\n\n".join(parts)


def _is_of_task(key: Key) -> bool:
    return key.dotted.startswith(tuple(f"{section}." for section in TASK_SECTIONS))


def _table(keys: Iterable[Key], defaults: Any) -> str:
    """A row for every key; defaults are those of the task."""
    bar = "\\|"  # one that does not end the cell
    rows = [
        f"| `{key.dotted}` | {key.kind} | {_default(value_of(defaults, key.dotted))} "
        f"| {key.meaning.replace('|', bar)} |"
        for key in keys
    ]
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])


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
