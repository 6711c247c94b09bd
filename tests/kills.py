"""Kills every command that writes, at many moments, and looks at what is left.

    python -m tests.kills --kills=20 --seed=0 --json=kills.json
    python -m tests.kills --only=prepare,export --kills=5

Each command first runs undisturbed. Then it is started again and again in an empty
folder and killed with SIGKILL, its whole process group: half of the times at moments
spread over its duration, half of the times right after files appeared, went or got
another name. What is there must then be absent or whole, bit for bit; the same command
must end as if nothing had been, and leave no other file than the undisturbed one did.

Commands are forked off a process that has imported everything, so that most of their
time is the work itself.
"""

import argparse
import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable

import jax

from tests import tiny
from tests.killed_commands import COMMANDS, Command
from tests.left_over import contents, is_litter, listing

# Imported once, before anything starts threads.
_IMPORTS = (
    *("conversion.importing", "data.registry", "data.summary", "export.writing"),
    *("inference.folder", "inspection.dataset_report", "training.evaluate"),
    *("training.curves", "training.train", "conversion.opening"),
)
_LIMIT = 300.0
# Between two looks at the folder of a command that is to be killed while it writes.
_LOOK = 0.001


@dataclasses.dataclass
class Undisturbed:
    """A command that nobody killed.

    Attributes:
        seconds: that it took.
        changes: how often the names in its folder were others than before.
        names: of all files that it left.
        contents: of what is compared bit for bit.
        passing: contents that a killed one may have left as well.
    """

    seconds: float
    changes: int
    names: set[str]
    contents: dict[str, str]
    passing: dict[str, str]


@dataclasses.dataclass
class Outcome:
    """What the kills of one command came to."""

    command: str
    seconds: float
    killed: int = 0
    while_writing: int = 0
    as_before: int = 0
    whole: int = 0
    litter: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)


def in_a_child(function: Callable[[], None], log: pathlib.Path) -> int:
    """Runs a function in a forked process group of its own; returns the process."""
    child = os.fork()
    if child:
        # Both do it, so that there is a group to be killed, whoever comes first.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpgid(child, child)
        return child
    try:
        os.setpgid(0, 0)
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o666)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        function()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 (the parent must not go on twice)
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def start(command: list[str], log: pathlib.Path) -> int:
    """Starts a script; returns its process."""

    def run() -> None:
        tiny.get_config()  # which puts the tiny network into the table
        # StableHLO says which lines it was made by, those of this file among them.
        jax.config.update("jax_traceback_in_locations_limit", 1)
        script, *arguments = command
        sys.argv = [str(tiny.ROOT / "scripts" / f"{script}.py"), *arguments]
        runpy.run_path(sys.argv[0], run_name="__main__")

    return in_a_child(run, log)


def ended(process: int) -> int | None:
    """The exit code, or None while it runs."""
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def wait(process: int) -> int:
    """The exit code of a process."""
    deadline = time.monotonic() + _LIMIT
    while (code := ended(process)) is None:
        if time.monotonic() > deadline:
            os.killpg(process, signal.SIGKILL)
        time.sleep(_LOOK)
    return code


def run(command: list[str], log: pathlib.Path) -> tuple[int, str]:
    """Runs a script to its end: exit code and output."""
    return wait(start(command, log)), log.read_text(errors="replace")


def contents_of(folder: pathlib.Path, log: pathlib.Path) -> dict[str, str]:
    """`left_over.contents`, in a process of its own, as reading starts threads."""
    out = log.with_suffix(".contents")
    out.unlink(missing_ok=True)
    code = wait(in_a_child(lambda: write_contents(folder, out), log))
    if code:
        return {"unreadable": log.read_text(errors="replace").strip()[-300:]}
    return json.loads(out.read_text())


def write_contents(folder: pathlib.Path, out: pathlib.Path) -> None:
    """Writes `left_over.contents` of a folder as JSON."""
    tiny.get_config()
    out.write_text(json.dumps(contents(folder)))


class Killer:
    """Kills one command again and again.

    Args:
        command: which.
        shared: folder with what commands read.
        folder: for everything else; deleted and made anew each time.
    """

    def __init__(self, command: Command, shared: pathlib.Path, folder: pathlib.Path):
        self._command = command
        self._shared = shared
        self._place = folder / "place"
        self._log = folder / "log"
        self._undisturbed = self._run_undisturbed()

    def _arguments(self, arguments: tuple[str, ...]) -> list[str]:
        places = {"shared": self._shared, "place": self._place, "root": tiny.ROOT}
        return [argument.format(**places) for argument in arguments]

    def _begin(self) -> dict[str, str]:
        """An empty folder, or what an earlier command left; its contents."""
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(parents=True)
        if not self._command.before:
            return {}
        code, output = run(self._arguments(self._command.before), self._log)
        assert code == 0, output
        return contents_of(self._place, self._log)

    def _run_undisturbed(self) -> Undisturbed:
        passing: dict[str, str] = {}
        for extra in (self._command.keeping,) if self._command.keeping else ():
            self._begin()
            command = self._arguments((*self._command.arguments, *extra))
            code, output = run(command, self._log)
            assert code == 0, output
            passing = contents_of(self._place, self._log)
        # Once for what is compiled, once for the time.
        for _ in range(2):
            self._begin()
            began = time.monotonic()
            process = start(self._arguments(self._command.arguments), self._log)
            changes, code = 0, None
            before = listing(self._place)
            while (code := ended(process)) is None:
                now = listing(self._place)
                changes += now != before
                before = now
                time.sleep(_LOOK)
            seconds = time.monotonic() - began
            assert code == 0, self._log.read_text(errors="replace")
        found = contents_of(self._place, self._log)
        return Undisturbed(seconds, changes, listing(self._place), found, passing)

    def kill(self, count: int, rng: random.Random) -> Outcome:
        """Kills it `count` times, and more often where it ended before the moment."""
        outcome = Outcome(self._command.name, round(self._undisturbed.seconds, 2))
        number = -1
        while outcome.killed < count and number < 3 * count:
            number += 1
            before = self._begin()
            process = start(self._arguments(self._command.arguments), self._log)
            if number % 2:
                moment = rng.randint(1, max(1, self._undisturbed.changes))
                what = f"after change {moment}"
                killed = self._kill_at_change(process, moment)
                outcome.while_writing += killed
            else:
                share = (number % count + rng.random()) / (count + count % 2)
                what = f"at {share:.2f} of its time"
                killed = self._kill_at(process, share * self._undisturbed.seconds)
            outcome.killed += killed
            faults = [*self._look(before, outcome), *self._run_again(before)]
            outcome.faults += [f"{what}: {fault}" for fault in faults]
        return outcome

    def _kill_at(self, process: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if ended(process) is not None:
                return False
            time.sleep(_LOOK)
        return self._kill(process)

    def _kill_at_change(self, process: int, number: int) -> bool:
        before, changes = listing(self._place), 0
        while changes < number:
            if ended(process) is not None:
                return False
            now = listing(self._place)
            changes += now != before
            before = now
        return self._kill(process)

    def _kill(self, process: int) -> bool:
        os.killpg(process, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) < 0

    def _look(self, before: dict[str, str], outcome: Outcome) -> list[str]:
        """Faults of what a killed command left."""
        found = contents_of(self._place, self._log)
        allowed = [self._undisturbed.contents, self._undisturbed.passing, before]
        wrong = [
            name
            for name, value in found.items()
            if value not in [each.get(name) for each in allowed]
        ]
        new = self._undisturbed.contents
        if self._command.in_one_piece and found not in ({}, before, new):
            wrong = wrong or sorted(new.keys() ^ found.keys())
        outcome.litter += any(map(is_litter, listing(self._place)))
        outcome.whole += found == new
        outcome.as_before += found == before
        return [f"half written: {', '.join(wrong)[:300]}"] if wrong else []

    def _run_again(self, before: dict[str, str]) -> list[str]:
        """Faults of the same command, run once more."""
        code, output = run(self._arguments(self._command.arguments), self._log)
        refused = self._command.says_that_it_is_there
        was_whole = refused and refused in output
        found = contents_of(self._place, self._log)
        faults = []
        if code and not was_whole:
            faults.append(f"again: code {code}, {output.strip()[-300:]}")
        new = self._undisturbed.contents
        wrong = [key for key in found.keys() | new if found.get(key) != new.get(key)]
        if wrong:
            faults.append(f"again: not the same: {', '.join(sorted(wrong))[:300]}")
        left = sorted(listing(self._place) ^ self._undisturbed.names)
        if left:
            faults.append(f"again: other files: {', '.join(left)[:300]}")
        return faults


def make_shared(folder: pathlib.Path) -> None:
    """What the commands read: data, a run, weights, photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    data = f"{folder}/data"
    sizes = ["--option=image_size=64", "--option=train=12", "--option=val=6"]
    prepare = ["prepare_data", "--dataset=shapes", f"--data_dir={data}", *sizes]
    train = ["train", f"--config={tiny.ROOT}/tests/tiny.py", f"--workdir={folder}/run"]
    train += [f"--config.dataset.data_dir={data}", "--config.eval.pictures=4"]
    convert = ["convert", f"{folder}/run", f"{folder}/tiny.pth"]
    for command in (prepare, train, convert):
        code, output = run(command, folder / "log")
        assert code == 0, output
    (folder / "names.txt").write_text("\n".join("abcdefg"))
    photographs = folder / "photographs"
    photographs.mkdir()
    for picture in (folder / "run" / "predictions").glob("*.png"):
        shutil.copy(picture, photographs)


def table(outcomes: list[Outcome]) -> str:
    """A row for each command, as Markdown."""
    head = ("command", "seconds", "killed", "while writing", "as before")
    head += ("whole", "leftovers, removed by the next run", "faults")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for each in outcomes:
        cells = (each.command, each.seconds, each.killed, each.while_writing)
        cells += (each.as_before, each.whole, each.litter, len(each.faults))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    """Kills, prints a table and every fault; exit code 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", default="", help="commands, by name")
    parser.add_argument("--json", type=pathlib.Path, help="file for the outcomes")
    arguments = parser.parse_args()
    for module in _IMPORTS:
        importlib.import_module(f"hrnet_jax.{module}")
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("torch")  # which takes seconds
    chosen = [name for name in arguments.only.split(",") if name] or list(COMMANDS)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="hrnet-jax-kills-") as name:
        folder = pathlib.Path(name)
        if any("{shared}" in " ".join(COMMANDS[each].arguments) for each in chosen):
            make_shared(folder / "shared")
        for each in chosen:
            killer = Killer(COMMANDS[each], folder / "shared", folder)
            outcome = killer.kill(
                arguments.kills, random.Random(f"{arguments.seed} {each}")
            )
            outcomes.append(outcome)
            print(json.dumps(dataclasses.asdict(outcome)), file=sys.stderr, flush=True)
            for fault in outcome.faults:
                print(f"{each}: {fault}", file=sys.stderr, flush=True)
            print(f"{each}: {outcome.killed} killed", file=sys.stderr, flush=True)
    print(table(outcomes))
    if arguments.json:
        text = json.dumps([dataclasses.asdict(each) for each in outcomes], indent=1)
        arguments.json.write_text(text + "\n")
    sys.exit(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    main()
