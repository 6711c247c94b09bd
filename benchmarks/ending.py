"""How benchmarks end: wrong input is one line, a case that fails spares the others."""

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator

from hrnet_jax.errors import HRNetError


@contextlib.contextmanager
def wrong_input_ends(*more: type[Exception]) -> Iterator[None]:
    """Tells errors of input in a line of standard error.

    Args:
        *more: other errors that are the input's here.

    Raises:
        SystemExit: with code 2.
    """
    try:
        yield
    except (HRNetError, ValueError, *more) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def attempt(case: object, dtype: str, compare: Callable[[], dict]) -> dict:
    """A case's result, or why there is none, so that the others still get theirs.

    Args:
        case: as a report names it.
        dtype: compute type.
        compare: gives the result.

    Returns:
        The result; or `case`, `dtype` and `failed`, the reason.
    """
    import jax

    try:
        return compare()
    except (HRNetError, ValueError, RuntimeError) as error:
        return {"case": str(case), "dtype": dtype, "failed": short_reason(error)}
    finally:
        # The next case finds the memory as this one found it.
        jax.clear_caches()
        gc.collect()


def short_reason(error: BaseException) -> str:
    """Kind and first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def ended(report: dict, text: str) -> dict:
    """Prints the text of a finished report and returns it.

    Raises:
        SystemExit: with code 1 if a case failed.
    """
    print(f"\n{text}")
    if any("failed" in case for case in report["cases"]):
        raise SystemExit(1)
    return report
