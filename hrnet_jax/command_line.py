"""What all command lines share: readable logs and one-line errors."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from absl import logging as absl_logging

from hrnet_jax.errors import HRNetError

# Exit code for wrong input.
INPUT_ERROR = 2


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Shows our log lines; turns a user's error into one line and exit code 2."""
    show_log()
    try:
        yield
    except HRNetError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(INPUT_ERROR)


def show_log() -> None:
    """Prints this package's log to standard error and quiets the libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # it announces itself
    absl_logging.set_verbosity(absl_logging.ERROR)
    logger = logging.getLogger("hrnet_jax")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)
