"""Writes what the TPU launchers print with --dry_run into docs/tpu.md.

    python -m tools.dry_runs docs/tpu.md

The block after one that begins with `python scripts/tpu/` and has `--dry_run` is
replaced by what that command prints in the root of this checkout.
"""

import contextlib
import importlib
import io
import os
import pathlib
import re
import shlex
import sys

ROOT = pathlib.Path(__file__).parents[1]

_TYPED_AND_PRINTED = re.compile(
    r"(?P<before>^```\n(?P<command>python scripts/tpu/(?:[^`]*?)--dry_run[^`]*?)^```\n"
    r"(?:(?!```).*\n)*?^```\n)(?P<printed>[^`]*?)^```$",
    re.MULTILINE,
)


def printed(command: str) -> str:
    """What a dry run prints.

    Args:
        command: as a page has it, `python scripts/tpu/vm.py --dry_run ...`.
    """
    _, script, *arguments = shlex.split(command.replace("\\\n", " "))
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    out, kept, here = io.StringIO(), sys.argv, pathlib.Path.cwd()
    os.chdir(ROOT)
    sys.argv = [script, *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            module.main()
    finally:
        sys.argv = kept
        os.chdir(here)
    return out.getvalue()


def with_outputs(page: str) -> str:
    """The page with the outputs of all dry runs."""
    return _TYPED_AND_PRINTED.sub(
        lambda found: f"{found['before']}{printed(found['command'])}```", page
    )


def main() -> None:
    """Rewrites the page."""
    path = pathlib.Path(sys.argv[1])
    path.write_text(with_outputs(path.read_text()))


if __name__ == "__main__":
    main()
