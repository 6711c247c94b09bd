"""How every script begins: before its other imports, so that these count as well."""

import sys
from types import TracebackType

from hrnet_jax.config import arenas, ctrl_c
from hrnet_jax.errors import missing_part

# Exit code for wrong input.
INPUT_ERROR = 2


def begins() -> None:
    """What a script does before it imports what takes long or may not be installed.

    From now on Ctrl-C ends it in one line (`ctrl_c.ends_this_script`), and so does an
    import of a package that belongs to an extra, with exit code 2. Threads share what
    memory was freed (`arenas.share_one_arena`).
    """
    arenas.share_one_arena()
    ctrl_c.ends_this_script()
    sys.excepthook = _ends_script


def _ends_script(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    message = missing_part(error) if isinstance(error, ModuleNotFoundError) else None
    if message is None:
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"error: {message}\n")
    sys.exit(INPUT_ERROR)
