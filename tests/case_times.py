"""What each case costs, and a limit for the fast tier.

Counted are seconds of processor time, of this process and of those it started and
waited for: seconds on the clock would tell how busy the machine is.
"""

import collections
import json
import os
import time

import pytest

KEY = "processor_seconds"


def processor_seconds() -> float:
    """Processor time of this process and its finished children."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def pytest_addoption(parser):
    parser.addoption(
        "--case-limit",
        type=float,
        metavar="SECONDS",
        help="fail cases without the mark `slow` that take more processor time",
    )
    parser.addoption(
        "--file-times",
        metavar="FILE",
        help="write processor seconds by case, and print them by file",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Hands the cost of a phase on, and fails what costs too much."""
    report = yield
    now = processor_seconds()
    seconds = now - item.stash.get(_BEGUN, now)
    item.stash[_BEGUN] = now
    # Reports of later phases carry the properties of earlier ones as well.
    report.user_properties = [
        entry for entry in report.user_properties if entry[0] != KEY
    ] + [(KEY, seconds)]
    limit = item.config.getoption("case_limit")
    is_over = limit is not None and call.when == "call" and seconds > limit
    if is_over and report.passed and item.get_closest_marker("slow") is None:
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} took {seconds:.1f} s of processor time, more than the "
            f"{limit:g} s of the fast tier: make it smaller or mark it `slow`"
        )
    return report


_BEGUN = pytest.StashKey[float]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.stash[_BEGUN] = processor_seconds()


def pytest_configure(config):
    is_worker = hasattr(config, "workerinput")
    if config.getoption("file_times") and not is_worker:
        config.pluginmanager.register(_Table(config.getoption("file_times")))


class _Table:
    """Gathers the reports of all workers."""

    def __init__(self, path):
        self._path = path
        self._cases = collections.Counter()

    def pytest_runtest_logreport(self, report):
        # The report of a worker that died has none.
        self._cases[report.nodeid] += dict(report.user_properties).get(KEY, 0.0)

    def pytest_terminal_summary(self, terminalreporter):
        with open(self._path, "w") as file:
            json.dump(dict(self._cases.most_common()), file, indent=0)
        files = collections.Counter()
        for case, seconds in self._cases.items():
            files[case.split("::")[0]] += seconds
        terminalreporter.section("processor seconds by file")
        for name, seconds in [("all", files.total()), *files.most_common()]:
            terminalreporter.write_line(f"{seconds:8.1f}  {name}")
