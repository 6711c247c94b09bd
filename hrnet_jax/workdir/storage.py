"""Orbax and tensorstore, of which a work directory shows little: states, failures."""

import logging
import os
import pathlib
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from orbax.checkpoint._src.futures import future
from orbax.checkpoint._src.multihost import multihost
from orbax.checkpoint._src.serialization import tensorstore_utils

from hrnet_jax.config.options import shortened
from hrnet_jax.storage import patience
from hrnet_jax.storage.paths import is_remote

# In the name of a step that is being saved.
UNFINISHED = ".orbax-checkpoint-tmp"

# What Orbax and tensorstore raise where files are damaged or lost: among them
# RecursionError, NotImplementedError and JaxRuntimeError, which are RuntimeErrors.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


# In the folder of a step in a bucket that is complete, as Orbax writes it.
COMPLETE = "commit_success.txt"


# Seconds that saving may take besides, as Orbax has it.
_MORE = 600


def unfinished_steps(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Folders of steps whose saving, or deletion in a bucket, was cut short."""
    if not is_remote(folder):
        yield from folder.glob(f"*{UNFINISHED}*")
    elif folder.exists():
        yield from (path for path in folder.iterdir() if not is_complete(path))


def is_complete(step: pathlib.Path) -> bool:
    """Whether the folder of a step, by its name, holds all of it."""
    return not is_remote(step) or (step / COMPLETE).exists()


def be_patient() -> None:
    """Has tensorstore ask a bucket again as long as everything else does.

    And threads of Orbax wait for each other as long. It takes neither from outside, but
    begins with these.
    """
    multihost._DEFAULT_BARRIER_TIMEOUT = int(patience.patience()) + _MORE
    retries = {
        "max_retries": patience.tries_within(patience.patience()) or 1,
        "initial_delay": f"{patience.FIRST_DELAY:.0f}s",
        "max_delay": f"{patience.LONGEST_DELAY:.0f}s",
    }
    for name in ("_BASE_TS_CONTEXT", "_DEFAULT_OCDBT_TS_CONTEXT"):
        getattr(tensorstore_utils, name)["gcs_request_retries"] = retries


def release_waiting() -> None:
    """Ends threads of Orbax that wait for the part of a save that failed.

    They would keep the process for ten minutes and more. Of several processes the
    failure of one ends all (`runtime.failures`).
    """
    if jax.process_count() > 1:
        return
    never = "coroutine '.*' was never awaited"
    warnings.filterwarnings("ignore", never, RuntimeWarning)
    for thread in threading.enumerate():
        if isinstance(thread, future._SignalingThread):
            thread.cancel()
            future.set_signals(
                thread._receive_signals, operation_id=thread._operation_id
            )


def patient_options() -> ocp.AsyncOptions:
    """Has processes wait for each other as long as any of them may ask a bucket again."""
    return ocp.AsyncOptions(timeout_secs=int(patience.patience()) + _MORE)


def check_numbers(metrics: dict[str, Any]) -> None:
    """Checks that all metrics of a checkpoint are numbers.

    Raises:
        ValueError: naming one that is none.
    """
    for name, value in metrics.items():
        is_large = type(value) is int and abs(value) > sys.maxsize
        if type(value) not in (int, float) or is_large:
            raise ValueError(f"{name!r} is {shortened(value)}, expected a number")


def state_handler() -> ocp.PyTreeCheckpointHandler:
    """Reads and writes states; an array on many devices is written by the first.

    Orbax would have each device write a part of each array, and compile a program
    for every part of every shape: the first save of W18's weights on eight CPU devices
    took 8 s instead of 0.4. A whole state is about a gigabyte at most.
    """
    types = ocp.type_handlers
    scalars, arrays = types.ScalarHandler(), types.NumpyHandler()
    return ocp.PyTreeCheckpointHandler(
        type_handler_registry=types.create_type_handler_registry(
            (int, scalars),
            (float, scalars),
            (np.number, scalars),
            (np.ndarray, arrays),
            (jax.Array, types.ArrayHandler(use_replica_parallel=False)),
        )
    )


_ABANDONED = re.compile(
    r"exception was never retrieved.*(orbax|tensorstore)", re.DOTALL
)


def tells_news(record: logging.LogRecord) -> bool:
    """Keeps back what Orbax logs of a failure, pages of it for every thread.

    The first of its exceptions reaches the caller, as a `CheckpointError`. Of the
    others, which it does not wait for, asyncio says that they were not retrieved.
    """
    if record.name == "asyncio":
        return not _ABANDONED.search(record.getMessage())
    return not (record.exc_info and "orbax" in pathlib.Path(record.pathname).parts)


def be_quiet() -> None:
    """Has the loggers of Orbax and asyncio keep back what is no news."""
    # Once, however often: a filter that is there already is not added again.
    for logger in (absl_logging.get_absl_logger(), logging.getLogger("asyncio")):
        logger.addFilter(tells_news)


# How tensorstore ends what it says of a call of the system that failed.
_OF_THE_SYSTEM = re.compile(r"\[os_error_code='(\d+)'\]")


def reason(error: Exception) -> str:
    """One line: what the system says, or what comes before tensorstore's internals."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip() or type(error).__name__
    code = _OF_THE_SYSTEM.search(text)
    if code:
        return os.strerror(int(code[1]))
    return text.splitlines()[0].partition(" [tensorstore_spec=")[0]
