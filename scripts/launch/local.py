"""Runs one command as several processes of this machine that work as one.

    python scripts/launch/local.py --processes=2 -- \\
        scripts/train.py --config=experiments/quickstart.py --workdir=runs/a

The processes share the work of every batch over CPU collectives; train.py and
evaluate.py support it. Process 0 prints as if it were alone; the output of the
others goes to files, or is shown with its number before each line (--show_all).

If one fails, the others are ended and its exit code is passed on (128 + n for
signal n), as is 75: stopped by SIGTERM or Ctrl-C with everything saved, run it again.
Both are handed to every process. None outlives this one.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from hrnet_jax.config import command_line
from hrnet_jax.config.children import Children, exit_code, show
from hrnet_jax.errors import ConfigError

# Seconds between two looks at the processes.
_INTERVAL = 0.05
# Seconds in which the others may end by themselves after one failed: they are told
# why, and process 0 tells the user.
_GRACE = 10.0
# Lines shown of a process that failed.
_TAIL = 20
# Exit code of a run that was stopped with everything saved.
_RUN_AGAIN = 75
_FORCED_DEVICES = "--xla_force_host_platform_device_count"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


def parse_arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own command line and, after `--`, that of the processes."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [options] -- SCRIPT.py [arguments]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--processes", type=int, default=2, help="default: 2")
    parser.add_argument(
        "--devices_per_process",
        type=int,
        default=1,
        help="virtual CPU devices of each (default: 1)",
    )
    parser.add_argument(
        "--show_all", action="store_true", help="show what all processes print"
    )
    parser.add_argument(
        "--log_dir",
        type=pathlib.Path,
        help="folder for the files of processes 1, 2, ... (default: one that is "
        "deleted unless something fails)",
    )
    cut = argv.index("--") if "--" in argv else len(argv)
    arguments, command = parser.parse_args(argv[:cut]), argv[cut + 1 :]
    for name in ("processes", "devices_per_process"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if not command:
        parser.error("expected a command after --")
    return arguments, command


def main() -> None:
    """Starts the processes and passes on their exit code."""
    arguments, command = parse_arguments(sys.argv[1:])
    with command_line.reporting_errors():
        if command[0].endswith(".py"):
            if not os.path.isfile(command[0]):
                raise ConfigError(f"{command[0]}: no such file; expected a script")
            command = [sys.executable, *command]
        elif not shutil.which(command[0]):
            raise ConfigError(f"{command[0]}: no such command; expected a script")
    if arguments.log_dir:
        logs = arguments.log_dir
        logs.mkdir(parents=True, exist_ok=True)
    else:
        logs = pathlib.Path(tempfile.mkdtemp(prefix="hrnet-jax-processes-"))
    group = Group(command, logs, arguments.processes, show_all=arguments.show_all)
    code = group.run(arguments.devices_per_process)
    if group.has_more_to_tell:
        sys.stderr.write(f"output of the other processes: {logs}\n")
    elif not arguments.log_dir:
        shutil.rmtree(logs)
    sys.exit(code)


class Group:
    """Processes that live and die together.

    Args:
        command: what each of them runs.
        logs: folder for what processes 1, 2, ... print.
        count: number of processes.
        show_all: show all they print instead.

    Attributes:
        has_more_to_tell: after a run, whether the files may explain a failure.
    """

    def __init__(
        self, command: list[str], logs: pathlib.Path, count: int, *, show_all: bool
    ):
        self._command = command
        self._logs = logs
        self._count = count
        self._show_all = show_all
        self._children = Children()
        self._readers: list[threading.Thread] = []
        self.has_more_to_tell = False

    def run(self, devices: int) -> int:
        """Runs the command to its end, as processes with so many devices each.

        Returns:
            The exit code of the first that failed, else 0.
        """
        children = self._children
        children.hear_signals()
        try:
            variables = environment(free_port(), self._count, devices)
            for index in range(self._count):
                self._start(index, variables)
            failed = self._wait()
        finally:
            children.end()
        for reader in self._readers:
            reader.join()
        if failed is None:
            return 0 if children.signal is None else exit_code(-children.signal)
        self._explain(failed)
        return exit_code(children.processes[failed].returncode)

    def _start(self, index: int, variables: dict[str, str]) -> None:
        output = None
        if index:
            output = subprocess.PIPE if self._show_all else self._log(index).open("wb")
        process = self._children.start(
            self._command,
            variables | {"HRNET_JAX_PROCESS": str(index)},
            stdout=output,
            stderr=output and subprocess.STDOUT,
        )
        if process and process.stdout:
            reader = threading.Thread(target=show, args=(index, process.stdout))
            reader.start()
            self._readers.append(reader)
        if output and output != subprocess.PIPE:
            output.close()

    def _log(self, index: int) -> pathlib.Path:
        return self._logs / f"process_{index}.log"

    def _wait(self) -> int | None:
        """Waits for all, or for the others a little once one has failed.

        Returns:
            Which failed first, if any.
        """
        failed, deadline = None, None
        while True:
            codes = [process.poll() for process in self._children.processes]
            if None not in codes and failed is None and not any(codes):
                return None
            if failed is None and any(codes):
                failed = next(index for index, code in enumerate(codes) if code)
                # A killed process could not tell the others.
                patience = _GRACE if codes[failed] > 0 else 0
                deadline = time.monotonic() + patience
            if failed is not None and (
                None not in codes or time.monotonic() > deadline
            ):
                return failed
            time.sleep(_INTERVAL)

    def _explain(self, failed: int) -> None:
        """Says what process 0 did not say: which other one failed, and how."""
        processes = self._children.processes
        code = processes[failed].returncode
        # Process 0 reports wrong input of any process.
        told = processes[0].returncode == code == command_line.INPUT_ERROR
        if told or code == _RUN_AGAIN or self._children.signal is not None:
            return
        self.has_more_to_tell = self._count > 1 and not self._show_all
        if failed == 0 and code > 0:
            return
        how = f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
        sys.stderr.write(f"process {failed} {how}\n")
        if failed and not self._show_all:
            lines = self._log(failed).read_text(errors="replace").splitlines()
            for line in lines[-_TAIL:]:
                sys.stderr.write(f"[{failed}] {line}\n")


def environment(port: int, count: int, devices: int) -> dict[str, str]:
    """Environment variables of the processes, except their number.

    Args:
        port: where process 0 will listen.
        count: number of processes.
        devices: virtual CPU devices of each.
    """
    flags = os.environ.get("XLA_FLAGS", "").split()
    kept = [flag for flag in flags if not flag.startswith(_FORCED_DEVICES)]
    variables = {
        "HRNET_JAX_PROCESSES": str(count),
        "HRNET_JAX_COORDINATOR": f"127.0.0.1:{port}",
        "HRNET_JAX_LAUNCHER": str(os.getpid()),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": " ".join([*kept, f"{_FORCED_DEVICES}={devices}"]),
    }
    if any(
        os.environ.get(name) for proxy in _PROXIES for name in (proxy, proxy.upper())
    ):
        # They talk to each other alone.
        variables |= {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    return variables


def free_port() -> int:
    """A free TCP port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    main()
