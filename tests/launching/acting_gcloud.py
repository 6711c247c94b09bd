"""A `gcloud` that really runs what it is told, on machines that are folders.

    python acting_gcloud.py STATE COMMAND...

STATE is a folder. Every slice that is created is a new folder in it, empty as a new
machine's home; deleting it deletes all that is there. The first machine gets a SIGTERM
in mid-run, as one that is preempted.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile

# What the run prints when the first machine is taken away.
PREEMPTED_AT = "step 4: val"
GONE = 1
ARCHIVE = "hrnet_jax.tar.gz"


def main(state: pathlib.Path, command: list[str]) -> int:
    """Does what a command says; its exit code."""
    with (state / "calls.jsonl").open("a") as file:
        file.write(json.dumps(command) + "\n")
    homes = sorted(state.glob("machine_*"))
    home = homes[-1] if homes and homes[-1].is_dir() else None
    match command:
        case ["compute", "tpus", "queued-resources", "create", *_]:
            made = len(list(state.glob("was_*")))
            (state / f"was_{made}").touch()
            (state / f"machine_{made}").mkdir()
        case ["compute", "tpus", "queued-resources", "describe", *_]:
            if home is None:
                sys.stderr.write("ERROR: NOT_FOUND\n")
                return GONE
            print("ACTIVE")
        case ["compute", "tpus", "tpu-vm", "describe", *_]:
            print("READY")
        case ["compute", "tpus", "queued-resources", "delete", *_]:
            shutil.rmtree(home)
        case ["compute", "tpus", "tpu-vm", "scp", *words]:
            for name in words:
                if (pathlib.Path.cwd() / name).is_file():
                    shutil.copy(name, home)
        case ["compute", "tpus", "tpu-vm", "ssh", *_, "--command=bash setup.sh"]:
            _set_up(home)
        case ["compute", "tpus", "tpu-vm", "ssh", *_, "--command=bash run.sh"]:
            return _run(home, is_preempted=home.name == "machine_0")
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


def _run(home: pathlib.Path, is_preempted: bool) -> int:
    process = subprocess.Popen(
        ["bash", "run.sh"],
        cwd=home,
        # The code that was copied there, and nothing of the checkout.
        env=os.environ | {"HOME": str(home), "PYTHONPATH": str(home / "hrnet_jax")},
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        sys.stderr.write(line)
        if is_preempted and PREEMPTED_AT in line:
            pid = int((home / "run.pid").read_text())
            os.kill(pid, signal.SIGTERM)
            is_preempted = False
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
