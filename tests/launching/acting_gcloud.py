"""A `gcloud` that really runs what it is told, on machines that are folders.

    python acting_gcloud.py STATE COMMAND...

STATE is a folder. Every slice that is created is a new folder in it, with one for each of
its hosts (as many as the file `hosts` in STATE says, or one), empty as the home of a new
machine; deleting it deletes all that is there. The hosts of the first slice get a SIGTERM
in mid-run, as those of one that is preempted.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Sequence

# What the run prints when the first machine is taken away.
PREEMPTED_AT = "step 4: val"
GONE = 1
ARCHIVE = "hrnet_jax.tar.gz"
# On each of several hosts; the last of such flags counts.
ONE_DEVICE = "--xla_force_host_platform_device_count=1"


def main(state: pathlib.Path, command: list[str]) -> int:
    """Does what a command says; its exit code."""
    with (state / "calls.jsonl").open("a") as file:
        file.write(json.dumps(command) + "\n")
    machines = sorted(state.glob("machine_*"))
    machine = machines[-1] if machines else None
    hosts = sorted(machine.iterdir()) if machine else []
    match command:
        case ["compute", "tpus", "queued-resources", "create", *_]:
            made = len(list(state.glob("was_*")))
            (state / f"was_{made}").touch()
            for host in range(_count(state)):
                (state / f"machine_{made}" / f"host_{host}").mkdir(parents=True)
        case ["compute", "tpus", "queued-resources", "describe", *_]:
            if machine is None:
                sys.stderr.write("ERROR: NOT_FOUND\n")
                return GONE
            print("ACTIVE")
        case ["compute", "tpus", "tpu-vm", "describe", *_]:
            print("READY")
        case ["compute", "tpus", "queued-resources", "delete", *_]:
            shutil.rmtree(machine)
        case ["compute", "tpus", "tpu-vm", "scp", *words]:
            for name in filter(os.path.isfile, words):
                for host in hosts:
                    shutil.copy(name, host)
        case ["compute", "tpus", "tpu-vm", "ssh", *_, "--command=bash setup.sh"]:
            for host in hosts:
                _set_up(host)
        case ["compute", "tpus", "tpu-vm", "ssh", *_, "--command=bash run.sh"]:
            return _run(hosts, is_preempted=machine.name == "machine_0")
        case _:
            raise ValueError(command)
    return 0


def _set_up(home: pathlib.Path) -> None:
    """What setup.sh does, with the packages of this machine."""
    with tarfile.open(home / ARCHIVE) as archive:
        archive.extractall(home / "hrnet_jax", filter="data")
    python = home / "hrnet_jax" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)


def _count(state: pathlib.Path) -> int:
    """Hosts of a slice."""
    path = state / "hosts"
    return int(path.read_text()) if path.exists() else 1


def _run(hosts: Sequence[pathlib.Path], is_preempted: bool) -> int:
    """Runs run.sh on all hosts at once; the worst of their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Under a lock, as all hosts print.
    lock, news = threading.Lock(), {"is_preempted": is_preempted}

    def follow(process: subprocess.Popen) -> None:
        for line in process.stderr:
            with lock:
                sys.stderr.write(line)
                if news["is_preempted"] and PREEMPTED_AT in line:
                    news["is_preempted"] = False
                    for host in hosts:
                        pid = int((host / "run.pid").read_text())
                        os.kill(pid, signal.SIGTERM)

    processes = [
        subprocess.Popen(
            ["bash", "run.sh"],
            cwd=host,
            env=os.environ | _environment(host, number, len(hosts), port),
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, host in enumerate(hosts)
    ]
    threads = [threading.Thread(target=follow, args=(each,)) for each in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(process.wait() for process in processes)


def _environment(
    host: pathlib.Path, number: int, count: int, port: int
) -> dict[str, str]:
    """Variables of a process on a host, where JAX finds its cluster as on a slice."""
    # The code that was copied there, and nothing of the checkout.
    alone = {"HOME": str(host), "PYTHONPATH": str(host / "hrnet_jax")}
    if count == 1:
        return alone
    flags = f"{os.environ.get('XLA_FLAGS', '')} {ONE_DEVICE}"
    # There are no metadata servers here; these say the same to JAX.
    return alone | {
        "XLA_FLAGS": flags,
        "OMPI_MCA_orte_hnp_uri": "4096.0;tcp://127.0.0.1:1",
        "OMPI_COMM_WORLD_SIZE": str(count),
        "OMPI_COMM_WORLD_RANK": str(number),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(number),
        "JAX_COORDINATOR_PORT": str(port),
    }


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
