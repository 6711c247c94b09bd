"""Which of forty-six wrong lines in the core the tests notice.

    python benchmarks/mutations.py
    python benchmarks/mutations.py --only=ohem --only=resume
    python benchmarks/mutations.py --whole --json mutations.json
    python benchmarks/mutations.py --whole --slow

Each mutation changes one line in a copy of the checkout and runs the test files that
should fail for it, or the whole suite (`--whole`), until the first failure. Without
`--slow` only the fast tier counts, which is what `make test` runs. Lines are found by
their text, so that moving a file changes nothing here.
"""

import pathlib
import sys

if __name__ == "__main__":
    # See `compare_torch`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable

from benchmarks.mutation_list import MUTATIONS, Mutation

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Where mutations are looked for.
_CORE = ("hrnet_jax/**/*.py", "scripts/*.py")
# A mutated loop may never end.
_LIMIT_S = 3600


def main(argv: list[str] | None = None) -> dict[str, dict]:
    """Runs what the command line asks for, prints a table and returns it.

    Raises:
        SystemExit: with code 2 for an unknown name; with 1 if a mutation survives.
    """
    args = _parser().parse_args(argv)
    chosen = _named(args.only)
    with tempfile.TemporaryDirectory(prefix="hrnet-jax-mutations-") as folder:
        results = run(ROOT, pathlib.Path(folder) / "copy", chosen, args)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=2) + "\n")
    caught = sum(result["caught"] for result in results.values())
    print(f"{caught} of {len(results)} caught")
    if caught < len(results):
        sys.exit(1)
    return results


def run(
    root: pathlib.Path,
    copy: pathlib.Path,
    mutations: Iterable[Mutation],
    args: argparse.Namespace,
) -> dict[str, dict]:
    """Tests every mutation in a copy of a checkout.

    Args:
        root: of the checkout.
        copy: a folder that is not there yet.
        mutations: each is checked to fit before the first is tested.
        args: of the command line.

    Returns:
        By name: `caught`, `seconds`, and `by`, the first test that failed.

    Raises:
        ValueError: if a text or test file is not there exactly once, or tests fail
            without any mutation.
    """
    copy_checkout(root, copy)
    places = {mutation: find(copy, mutation.old) for mutation in mutations}
    tests = {
        mutation: ["tests"] if args.whole else test_files(copy, mutation.tests)
        for mutation in places
    }
    if not args.unchecked:
        files = sorted({file for files in tests.values() for file in files})
        failed, by = run_tests(copy, files, args)
        if failed:
            raise ValueError(f"without a mutation fails: {by}")
    results = {}
    for mutation, path in places.items():
        start, text = time.perf_counter(), path.read_text()
        path.write_text(text.replace(mutation.old, mutation.new))
        try:
            caught, by = run_tests(copy, tests[mutation], args)
        finally:
            path.write_text(text)
        seconds = round(time.perf_counter() - start, 1)
        results[mutation.name] = {"caught": caught, "seconds": seconds, "by": by}
        verdict = "caught  " if caught else "SURVIVED"
        print(f"{verdict} {seconds:7.1f} s  {mutation.name}  {by}", flush=True)
    return results


def copy_checkout(root: pathlib.Path, copy: pathlib.Path) -> None:
    """Copies what git tracks or would; compiled programs are shared."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)
    (root / ".cache").mkdir(exist_ok=True)
    (copy / ".cache").symlink_to(root / ".cache")


def find(root: pathlib.Path, text: str) -> pathlib.Path:
    """The file of the core that holds a text.

    Raises:
        ValueError: unless there is one, and the text once in it.
    """
    paths = [path for pattern in _CORE for path in sorted(root.glob(pattern))]
    found = [path for path in paths for _ in range(path.read_text().count(text))]
    if len(found) != 1:
        where = ", ".join(str(path.relative_to(root)) for path in found) or "nowhere"
        raise ValueError(f"{text!r} is to be in the core once, is {where}")
    return found[0]


def test_files(root: pathlib.Path, ends: Iterable[str]) -> list[str]:
    """Test files by the ends of their paths.

    Raises:
        ValueError: for an end that not exactly one file has.
    """
    paths = [path.relative_to(root).as_posix() for path in root.glob("tests/**/*.py")]
    files = []
    for end in ends:
        found = [path for path in paths if path.endswith(f"/{end}")]
        if len(found) != 1:
            raise ValueError(f"tests/**/{end}: {len(found)} files, expected one")
        files += found
    return files


def run_tests(
    root: pathlib.Path, files: list[str], args: argparse.Namespace
) -> tuple[bool, str]:
    """Runs tests until one fails.

    Returns:
        Whether one failed, and its name with the last line of its error.

    Raises:
        ValueError: if no test ran.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not convert" if args.slow else "not slow and not convert"]
    command += ["--tb=no", "-rfE"]
    if args.whole:
        command += ["-n", str(args.workers), "--dist", "loadfile"]
    variables = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        process = subprocess.run(
            [*command, *files],
            cwd=root,
            env=variables,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True, f"no end after {_LIMIT_S} s"
    # 1: tests failed, 2: a file could not be imported; others mean none ran.
    if process.returncode not in (0, 1, 2):
        raise ValueError(f"pytest: {process.stdout[-2000:]}{process.stderr[-2000:]}")
    lines = process.stdout.splitlines()
    reasons = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return process.returncode != 0, (reasons or [""])[0][:200]


def _named(names: list[str] | None) -> list[Mutation]:
    """Mutations whose names hold one of these words; all without words."""
    if not names:
        return list(MUTATIONS)
    chosen = [m for m in MUTATIONS if any(name in m.name for name in names)]
    if not chosen:
        sys.exit(f"error: no mutation is called {' or '.join(names)}")
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="mutations with it in the name"
    )
    parser.add_argument(
        "--whole", action="store_true", help="all tests instead of those named"
    )
    parser.add_argument(
        "--slow", action="store_true", help="the slow tier as well, as make test-all"
    )
    parser.add_argument(
        "--unchecked",
        action="store_true",
        help="do not run the tests without a mutation first",
    )
    parser.add_argument("--workers", type=int, default=2, help="with --whole")
    parser.add_argument("--json", metavar="FILE", help="write the results")
    return parser


if __name__ == "__main__":
    main()
