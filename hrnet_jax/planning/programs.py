"""The train and predict steps of an experiment, compiled for absent devices."""

import hashlib
import importlib.metadata
import json
import logging
import os
import pathlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import jax

from hrnet_jax import runtime
from hrnet_jax.costs.compiled import ProgramCosts, costs_of
from hrnet_jax.costs.multiply_adds import jaxpr_multiply_adds
from hrnet_jax.errors import HRNetError
from hrnet_jax.planning.abstract import device_bytes
from hrnet_jax.whole_files import write_whole

_log = logging.getLogger(__name__)

# Raised whenever the meaning of kept costs changes.
_VERSION = 1
_HEARTBEAT = 60.0  # seconds
_TOO_LARGE = "does_not_fit"


class DoesNotFitError(HRNetError):
    """A program needs more memory than a device has."""


def compile_costs(
    name: str, function: jax.stages.Wrapped, *arguments: Any, cache: pathlib.Path | None
) -> ProgramCosts:
    """Traces a jitted function, compiles it and reads its costs.

    JAX's own compilation cache cannot read programs for absent devices back (0.10.2:
    "must be constructed with a Client"), so the costs themselves are kept, under the
    hash of the traced program and the versions of the compiler.

    Args:
        name: for the log, such as `v5e:2x4 train step`.
        function: from `jax.jit`.
        *arguments: `ShapeDtypeStruct`s with shardings over the devices to compile for.
            The first is the state, the second the batch.
        cache: folder for the costs; None for none.

    Raises:
        DoesNotFitError: if the compiler finds no way to fit it into the memory.
    """
    _log.info("%s: tracing", name)
    traced = function.trace(*arguments)
    lowered = traced.lower(lowering_platforms=("tpu",))
    path = cache / f"{_key(lowered, arguments)}.json" if cache else None
    if path and path.is_file():
        _log.info("%s: known from %s", name, path)
        known = json.loads(path.read_text())
        if _TOO_LARGE in known:
            raise DoesNotFitError(known[_TOO_LARGE])
        return ProgramCosts.from_json(known)
    started = time.perf_counter()
    try:
        with _heartbeat(name), runtime.nothing_cached():
            compiled = _compile(name, lowered)
    except DoesNotFitError as error:
        _keep(path, {_TOO_LARGE: str(error)})
        raise
    seconds = time.perf_counter() - started
    _log.info("%s: compiled in %.0f s", name, seconds)
    state, batch = arguments
    devices = len(jax.tree.leaves(state)[0].sharding.device_set)
    flops = 2 * jaxpr_multiply_adds(traced.jaxpr.jaxpr) / devices
    costs = costs_of(compiled, flops, device_bytes(batch), seconds)
    _keep(path, asdict(costs))
    return costs


def _keep(path: pathlib.Path | None, values: dict[str, Any]) -> None:
    """Writes costs, or why there are none."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(values, indent=1))


def _compile(name: str, lowered: Any) -> Any:
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
        if "RESOURCE_EXHAUSTED" not in text:
            raise
        needed = re.search(r"\(([\d.]+[KMGT]?)\) exceeds available HBM", text)
        limit = re.search(r"exceeds available HBM \(([\d.]+[KMGT]?)\)", text)
        detail = text.partition(":")[2].strip().splitlines()[0]
        if needed and limit:
            detail = f"needs {needed[1]}iB, {limit[1]}iB are free"
        _log.info("%s: does not fit: %s", name, detail)
        raise DoesNotFitError(detail) from error


def _key(lowered: Any, arguments: tuple) -> str:
    """A hash of everything that decides about the compiled program."""
    sharding = jax.tree.leaves(arguments)[0].sharding
    devices = [
        (device.device_kind, tuple(device.coords))
        for device in sharding.mesh.devices.flat
    ]
    versions = [importlib.metadata.version("jax"), _libtpu_version()]
    flags = os.environ.get("LIBTPU_INIT_ARGS", "")
    options = runtime.compiler_options(sharding.mesh)
    facts = [_VERSION, versions, flags, options, devices]
    text = json.dumps(facts) + lowered.as_text()
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _libtpu_version() -> str:
    try:
        return importlib.metadata.version("libtpu")
    except importlib.metadata.PackageNotFoundError:
        return os.environ.get("TPU_LIBRARY_PATH", "")


@contextmanager
def _heartbeat(name: str) -> Iterator[None]:
    """Logs every minute that the compiler is still at work."""
    done = threading.Event()
    started = time.perf_counter()

    def tell() -> None:
        while not done.wait(_HEARTBEAT):
            minutes = (time.perf_counter() - started) / 60
            _log.info("%s: compiling for %.0f min", name, minutes)

    thread = threading.Thread(target=tell, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
