"""A slice of Cloud TPU VMs: rented, prepared, used, and rented again after preemption."""

import dataclasses
import signal
import time
from collections.abc import Sequence

from hrnet_jax.config import ctrl_c
from hrnet_jax.errors import ConfigError
from hrnet_jax.launching.job import ARCHIVE, HOPELESS, RUN_AGAIN, Job, write_archive
from hrnet_jax.launching.shell import Shell, shown_command

_ACTIVE = "ACTIVE"
# States of a queued resource that can still become active.
_WAITING = ("ACCEPTED", "CREATING", "PROVISIONING", "WAITING_FOR_RESOURCES", "")
_FAILED = "FAILED"
# Of a TPU VM that can be used.
_READY = "READY"
# ssh itself failed: the host is gone, or the connection to it.
_NO_CONNECTION = 255
# Hosts answer some time after they are said to be there; gcloud, mostly.
_TRIES = 5


@dataclasses.dataclass(frozen=True)
class Options:
    """How a slice is rented.

    Attributes:
        zone: of Google Cloud, such as us-west4-a.
        project: of Google Cloud; None takes that of gcloud's configuration.
        spot: cheaper, may be preempted.
        service_account: whose permissions the hosts have; None takes the default one.
        runtime: operating system; None takes that of the chip.
        wait_minutes: at most, for the slice to become active.
        poll_seconds: between two questions for its state.
        max_restarts: how often a run may be taken up again.
        delete_after: the slice is given back when the run has ended, however it did.
    """

    zone: str
    project: str | None = None
    spot: bool = False
    service_account: str | None = None
    runtime: str | None = None
    wait_minutes: float = 1440
    poll_seconds: float = 30
    max_restarts: int = 100
    delete_after: bool = False


class PodSlice:
    """One slice by name, and a job on it.

    Args:
        job: what to run.
        options: how to rent.
        shell: runs or shows the commands.
    """

    def __init__(self, job: Job, options: Options, shell: Shell):
        self._job = job
        self._options = options
        self._shell = shell
        # Whether something may be paid for.
        self._is_rented = False
        self._place = [f"--zone={options.zone}"]
        if options.project:
            self._place.append(f"--project={options.project}")

    def show(self) -> None:
        """Prints every command and file, in the order of a run without mishaps."""
        note, run = self._shell.note, self._shell.run
        note(self._job.slice.describe())
        files = self._write_files()
        note("unless it is there already:")
        run(self._create())
        minutes = f"{self._options.wait_minutes:g}"
        note(f"until it says ACTIVE, for at most {minutes} minutes:")
        run(self._describe())
        run(self._copy(files))
        run(self._ssh("bash setup.sh"))
        run(self._ssh("bash run.sh"))
        note(f"after exit code {RUN_AGAIN}, and where this says no longer READY:")
        run(self._describe_node())
        note("delete it, create it again and go on from there:")
        run(self._delete())
        if self._options.delete_after:
            note("in the end, however it ended:")
            run(self._delete())
        else:
            note("in the end it is still rented; to give it back:")
            run(self._delete())

    def run(self) -> int:
        """Runs the job until it ends, on as many slices as that takes.

        Returns:
            The exit code of the job.

        Raises:
            ConfigError: if the slice cannot be had.
            KeyboardInterrupt: after SIGTERM or Ctrl-C; what is rented stays.
        """
        signal.signal(signal.SIGTERM, stop)
        try:
            code = self._until_it_ends()
        except KeyboardInterrupt:
            self._tell_that_it_is_rented("stopped; the run may go on there")
            raise
        except ConfigError:
            self._give_back()
            raise
        self._give_back()
        return code

    def _until_it_ends(self) -> int:
        files = self._write_files()
        prepared = False
        for _ in range(self._options.max_restarts + 1):
            if self._rent():
                prepared = False
            stage, code = "setup.sh", 0 if prepared else self._prepare(files)
            if code == 0:
                prepared, stage = True, self._job.command[0]
                code = self._shell.run(self._ssh("bash run.sh"))
            if code == 0:
                return 0
            if code == RUN_AGAIN:
                self._again("the run was stopped and has saved everything")
            elif not self._is_there():
                self._again("the slice is gone")
            elif code == _NO_CONNECTION:
                self._shell.note("the connection was lost; once more on the same slice")
                time.sleep(self._options.poll_seconds)
            else:
                hint = "; it would end so again" if code in HOPELESS else ""
                self._shell.note(
                    f"{stage} on {self._job.name} failed with exit code {code}{hint}"
                )
                return code
        raise ConfigError(
            f"{self._job.name}: ended early {self._options.max_restarts + 1} times; "
            "the same command goes on (--max_restarts)"
        )

    def _again(self, reason: str) -> None:
        self._shell.note(f"{reason}; once more on a new slice")
        self._return()

    # What is rented.

    def _rent(self) -> bool:
        """Makes sure that the slice is there; whether it is a new one.

        Raises:
            ConfigError: if it cannot be had, or not in time.
        """
        deadline = time.monotonic() + 60 * self._options.wait_minutes
        is_new, told = False, None
        while (state := self._state()) != _ACTIVE:
            if state == _FAILED and is_new:
                reason = self._reason()
                self._return()
                raise ConfigError(f"{self._job.name}: {reason}")
            if state not in _WAITING:
                # There is none, or what became of an earlier one.
                if state is not None:
                    self._shell.note(f"{self._job.name}: {state}; asking for a new one")
                    self._return()
                self._must(self._create(), "cannot be created")
                is_new = self._is_rented = True
                continue
            self._is_rented = True
            if state != told:
                self._shell.note(f"{self._job.name}: {state or 'no state yet'}")
                told = state
            if time.monotonic() > deadline:
                self._return()
                raise ConfigError(
                    f"{self._job.name}: not active after {self._options.wait_minutes:g} "
                    "minutes (--wait_minutes); its request is deleted"
                )
            time.sleep(self._options.poll_seconds)
        self._is_rented = True
        return is_new

    def _state(self) -> str | None:
        """The state of the request; None if there is none.

        Raises:
            ConfigError: if gcloud does not answer, some times in a row.
        """
        answer = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(self._options.poll_seconds)
            code, answer = self._shell.ask(self._describe())
            if code == 0:
                return answer
            if "NOT_FOUND" in answer or "not found" in answer.lower():
                return None
        raise ConfigError(f"{self._job.name}: gcloud says: {answer}")

    def _reason(self) -> str:
        command = [*self._describe()[:-1], "--format=value(state.failedData.error)"]
        _, answer = self._shell.ask(command)
        return f"Google Cloud gave up the request: {answer or 'no reason told'}"

    def _is_there(self) -> bool:
        """Whether the slice can still be used."""
        if self._state() != _ACTIVE:
            return False
        code, answer = self._shell.ask(self._describe_node())
        return code == 0 and answer == _READY

    def _must(self, command: Sequence[str], what: str) -> None:
        code = self._shell.run(command)
        if code:
            raise ConfigError(
                f"{self._job.name} {what}: gcloud ended with exit code {code}, see above"
            )

    def _return(self) -> None:
        self._must(self._delete(), "cannot be deleted")
        self._is_rented = False

    def _give_back(self) -> None:
        """Gives back what is rented, or says that it is not."""
        if self._options.delete_after and self._is_rented:
            self._return()
        else:
            self._tell_that_it_is_rented("ended")

    def _tell_that_it_is_rented(self, what: str) -> None:
        if not self._is_rented:
            return
        self._shell.note(
            f"{what}; {self._job.name} is still rented. The same command uses it again; "
            f"to give it back:\n{shown_command(self._delete())}"
        )

    # What is done on it.

    def _write_files(self) -> list[str]:
        archive = write_archive(self._job, self._shell)
        files = {"setup.sh": setup_script(self._job), "run.sh": run_script(self._job)}
        for name, text in files.items():
            self._shell.write(self._job.folder / name, text)
        return [str(archive), *(str(self._job.folder / name) for name in files)]

    def _prepare(self, files: Sequence[str]) -> int:
        """Copies and installs; the exit code of what failed, or 0."""
        code = 0
        for command in (self._copy(files), self._ssh("bash setup.sh")):
            for attempt in range(_TRIES):
                if attempt:
                    time.sleep(self._options.poll_seconds)
                code = self._shell.run(command)
                if code == 0 or not self._is_there():
                    break
            if code:
                return code
        return 0

    # Commands.

    def _create(self) -> list[str]:
        command = ["gcloud", "compute", "tpus", "queued-resources", "create"]
        command += [self._job.name, f"--node-id={self._job.name}", *self._place]
        command += [
            f"--accelerator-type={self._job.slice.accelerator_type}",
            f"--runtime-version={self._options.runtime or self._job.slice.runtime}",
        ]
        if self._options.service_account:
            command.append(f"--service-account={self._options.service_account}")
        if self._options.spot:
            command.append("--spot")
        return [*command, "--quiet"]

    def _describe(self) -> list[str]:
        command = ["gcloud", "compute", "tpus", "queued-resources", "describe"]
        return [*command, self._job.name, *self._place, "--format=value(state.state)"]

    def _describe_node(self) -> list[str]:
        command = ["gcloud", "compute", "tpus", "tpu-vm", "describe", self._job.name]
        return [*command, *self._place, "--format=value(state)"]

    def _delete(self) -> list[str]:
        command = ["gcloud", "compute", "tpus", "queued-resources", "delete"]
        return [*command, self._job.name, *self._place, "--force", "--quiet"]

    def _copy(self, files: Sequence[str]) -> list[str]:
        command = ["gcloud", "compute", "tpus", "tpu-vm", "scp", *files]
        return [
            *command,
            f"{self._job.name}:",
            *self._place,
            "--worker=all",
            "--quiet",
        ]

    def _ssh(self, line: str) -> list[str]:
        command = ["gcloud", "compute", "tpus", "tpu-vm", "ssh", self._job.name]
        return [
            *command,
            *self._place,
            "--worker=all",
            "--quiet",
            f"--command={line}",
        ]


def launch(job: Job, options: Options, shell: Shell) -> int:
    """Runs a job on a slice, or shows what that would be.

    Returns:
        The exit code of the job; that of Ctrl-C after it or SIGTERM.

    Raises:
        ConfigError: if the slice cannot be had.
    """
    pod_slice = PodSlice(job, options, shell)
    if shell.dry_run:
        pod_slice.show()
        return 0
    ctrl_c.is_handled_by(stop)
    try:
        return pod_slice.run()
    except KeyboardInterrupt:
        return ctrl_c.EXIT_CODE


def stop(number: int, frame: object) -> None:
    """Handles SIGTERM and Ctrl-C: the launcher ends, what is rented stays.

    Raises:
        KeyboardInterrupt: in the main thread.
    """
    del number, frame
    raise KeyboardInterrupt


def setup_script(job: Job) -> str:
    """What every host runs once: the checkout and its packages.

    TPU VMs bring a Python older than the project's; uv brings another.
    """
    return f"""\
set -e
mkdir -p hrnet_jax
tar --extract --gzip --file={ARCHIVE} --directory=hrnet_jax
cd hrnet_jax
python3 -m pip install --user --quiet uv
[ -d .venv ] || python3 -m uv venv --quiet --python=3.12 .venv
python3 -m uv pip install --quiet --python=.venv --editable='{job.requirement}'
"""


def run_script(job: Job) -> str:
    """What every host runs, once or, after a lost connection, again.

    A run that is still there from before is asked to save and to end first.
    """
    several = "export HRNET_JAX_PROCESSES=auto\n" if job.slice.hosts > 1 else ""
    return f"""\
cd hrnet_jax
if before=$(cat ../run.pid 2>/dev/null); then
  kill -TERM "$before" 2>/dev/null
  for second in $(seq 300); do
    kill -0 "$before" 2>/dev/null || break
    sleep 1
  done
  kill -KILL "$before" 2>/dev/null
fi
echo $$ > ../run.pid
{several}exec {job.line(".venv/bin/python")}
"""
