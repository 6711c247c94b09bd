"""Orbax and tensorstore, of which a work directory shows little: states, failures."""

import logging
import os
import pathlib
import re

import jax
import numpy as np
import orbax.checkpoint as ocp

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
