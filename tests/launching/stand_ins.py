"""Programs in the place of `gcloud`, `kubectl` and `sky`, and a checkout to launch.

A stand-in notes how it was called and answers from a list: by words of the command,
one answer after the other, the last again and again.
"""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys

# Exit code, standard output, standard error.
Answer = tuple[int, str, str]

PROGRAMS = ("gcloud", "kubectl", "sky")

_PROGRAM = """#!{python} -IS
import json, os, pathlib, sys
folder = pathlib.Path(__file__).parent
command = [os.path.basename(__file__), *sys.argv[1:]]
with open(folder / "calls.jsonl", "a") as file:
    file.write(json.dumps(command) + "\\n")
with open(folder / "answers.json") as file:
    answers = json.load(file)
calls = [json.loads(line) for line in open(folder / "calls.jsonl")]
for words, given in answers.items():
    if words in " ".join(command):
        number = sum(words in " ".join(call) for call in calls)
        code, out, err = given[min(number, len(given)) - 1]
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
"""


class StandIns:
    """The programs, in a folder of their own.

    Args:
        folder: empty.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.answer({})
        for name in PROGRAMS:
            (folder / name).write_text(_PROGRAM.format(python=sys.executable))
            (folder / name).chmod(0o755)

    def answer(self, answers: dict[str, list[Answer]]) -> None:
        """What they say: words of a command -> one answer after the other."""
        (self.folder / "answers.json").write_text(json.dumps(answers))
        (self.folder / "calls.jsonl").write_text("")

    def calls(self) -> list[str]:
        """How they were called since the last `answer`, as one would type it."""
        lines = (self.folder / "calls.jsonl").read_text().splitlines()
        return [shlex.join(json.loads(line)) for line in lines]


def make_checkout(folder: pathlib.Path) -> pathlib.Path:
    """What looks like a checkout of this project, with few files."""
    for name in (
        *("pyproject.toml", "hrnet_jax/__init__.py"),
        *("scripts/train.py", "experiments/quickstart.py"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}\n")
    (folder / ".gitignore").write_text(".cache/\nsecret\n")
    (folder / "secret").write_text("of this machine\n")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def typed(main, arguments, folder: pathlib.Path, path: pathlib.Path) -> int:
    """Calls a script's `main` as if it were typed in a folder.

    Args:
        main: of the script.
        arguments: of its command line.
        folder: where the user stands.
        path: folder of programs that are found first.

    Returns:
        Its exit code.
    """
    kept = sys.argv, os.getcwd(), os.environ["PATH"]
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        sys.argv = ["script.py", *arguments]
        os.chdir(folder)
        os.environ["PATH"] = f"{path}{os.pathsep}{kept[2]}"
        main()
        return 0
    except SystemExit as error:
        return error.code or 0
    finally:
        sys.argv, os.environ["PATH"] = kept[0], kept[2]
        os.chdir(kept[1])
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
