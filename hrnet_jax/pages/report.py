"""One HTML file about runs: metrics, curves, mistakes, configuration, commands."""

import dataclasses
import datetime
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import hrnet_jax
from hrnet_jax.inference.notebook import as_html
from hrnet_jax.pages import html, sections
from hrnet_jax.pages.charts import SCRIPT, charts_of_runs
from hrnet_jax.pages.findings import Findings, evaluate_run, pictures_in
from hrnet_jax.pages.recorded_run import (
    RecordedRun,
    changed,
    commands,
    config_rows,
    environment_rows,
    read_run,
)
from hrnet_jax.registry import get_task
from hrnet_jax.storage import paths, targets
from hrnet_jax.training.recorded import run_names
from hrnet_jax.whole_files import write_whole
from hrnet_jax.workdir.files import PICTURES_FOLDER

WORST = 20
SUFFIXES = (".html", ".htm")
_STYLE = pathlib.Path(__file__).with_name("style.css")
# Nothing is ever fetched, whatever a name in the page says.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What a page says of one run.

    Attributes:
        name: short, and unique in the page.
        run: as recorded.
        step: of the checkpoint; None where nothing was evaluated.
        found: split -> what was found; empty where nothing was evaluated.
        legend: model and classes or points.
    """

    name: str
    run: RecordedRun
    step: int | None
    found: dict[str, Findings]
    legend: html.Markup | None


def write_report(
    workdirs: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    step: int | str = "best",
    splits: Sequence[str] = (),
    worst: int = WORST,
    changes: Sequence[str] = (),
    evaluation: bool = True,
) -> pathlib.Path:
    """Writes one HTML file that needs no other and no network.

    Args:
        workdirs: of runs, perhaps of different tasks.
        out: the file; its folder is made.
        step: of the checkpoints to evaluate, `best`, `latest` or a number.
        splits: to evaluate; the test split (the evaluation split where there is none)
            if empty.
        worst: number of pictures of the worst examples, of each run and split.
        changes: `KEY=VALUE` of the configurations, for the evaluation.
        evaluation: whether to evaluate; else the page shows what is recorded.

    Returns:
        The file.

    Raises:
        CheckpointError: for what is no work directory of a run.
        ConfigError: for a file that cannot be the page, and a key that is not there.
        DataError: if a split cannot be read.
    """
    out = targets.check_file(out, what="the name of a page", suffixes=SUFFIXES)
    # All before the first evaluation, which may take long.
    unique = dict.fromkeys(map(paths.as_path, workdirs))
    runs = [read_run(workdir) for workdir in unique]
    configs = [changed(run.config, changes) for run in runs]
    names = run_names([run.recorded for run in runs])
    evaluated = []
    for name, run, config in zip(names, runs, configs, strict=True):
        if not evaluation:
            evaluated.append(Evaluated(name, run, None, {}, None))
            continue
        found = evaluate_run(config, run.workdir, step, splits, worst)
        number, info = run.step_and_info(step)
        about = {"model": config["model"]["name"], "step": number}
        legend = html.Markup(as_html(about, info, get_task(config["task"])))
        evaluated.append(Evaluated(name, run, number, found, legend))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, _page(evaluated, step, splits, changes))
    return out


def _page(
    runs: Sequence[Evaluated],
    step: int | str,
    splits: Sequence[str],
    changes: Sequence[str],
) -> str:
    recorded = [one.run for one in runs]
    names = [one.name for one in runs]
    title = names[0] if len(runs) == 1 else f"{len(runs)} runs"
    lines = [line for run in recorded for line in commands(run, step, splits, changes)]
    environment = environment_rows(recorded)
    numbered = enumerate(runs)
    parts = [
        ("Metrics", _metrics(runs)),
        ("Curves", _curves(runs)),
        *(
            (f"Evaluation of {one.name}", _of_run(f"run-{n}", one))
            for n, one in numbered
        ),
        ("Configuration", _configuration(recorded, names)),
        (
            "Environment",
            html.table([["recorded", *names], *environment], class_="words")
            if environment
            else sections.faint("Nothing is recorded of it."),
        ),
        ("To repeat it", html.tag("pre", "\n".join(lines))),
    ]
    marked = [(f"part-{n}", *part) for n, part in enumerate(parts)]
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    body = [
        html.tag("h1", f"Report of {title}"),
        sections.faint(f"made {now} by hrnet_jax {hrnet_jax.__version__}"),
        html.tag(
            "nav",
            (html.tag("a", name, href=f"#{mark}") for mark, name, _ in marked),
        ),
        *(
            html.tag("section", html.tag("h2", name), content, id=mark)
            for mark, name, content in marked
        ),
        html.tag("script", html.Markup(SCRIPT.read_text())),
    ]
    return "<!doctype html>\n" + html.tag(
        "html",
        html.tag("head", _head(f"Report of {title}")),
        html.tag("body", body),
        lang="en",
    )


def _head(title: str) -> list[html.Markup]:
    return [
        html.tag("meta", charset="utf-8"),
        html.tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        html.tag("meta", name="viewport", content="width=device-width"),
        html.tag("link", rel="icon", href="data:,"),
        html.tag("title", title),
        html.tag("style", html.Markup(_STYLE.read_text())),
    ]


def _metrics(runs: Sequence[Evaluated]) -> list[html.Markup]:
    """All runs and splits beside each other."""
    columns: dict[str, dict[str, float]] = {}
    for one in runs:
        if one.step is None:
            columns[f"{one.name}, as recorded"] = one.run.metrics()
        for split, found in one.found.items():
            columns[f"{one.name}, {split}, step {one.step}"] = found.metrics
    return sections.metrics(columns)


def _curves(runs: Sequence[Evaluated]) -> html.Markup:
    recorded = [one.run.recorded for one in runs]
    if not any(run.curves for run in recorded):
        return sections.faint("Nothing is recorded: these weights come from elsewhere.")
    hint = "Drag to zoom, double-click to see everything, hover for values."
    return html.join([sections.faint(hint), charts_of_runs(recorded)])


def _of_run(mark: str, one: Evaluated) -> list[Any]:
    parts: list[Any] = [one.legend]
    for number, (split, found) in enumerate(one.found.items()):
        if len(one.found) > 1:
            parts.append(html.tag("h3", f"Split {split}"))
        parts += sections.findings(f"{mark}-{number}", found)
    if one.step is None:
        pictures = pictures_in(one.run.workdir / PICTURES_FOLDER, WORST)
        parts.append(sections.faint("Not evaluated for this page."))
        if pictures:
            parts.append(sections.pictures("Predictions of the run", pictures, {}))
    return parts


def _configuration(runs: Sequence[RecordedRun], names: Sequence[str]) -> html.Markup:
    rows = config_rows(runs)
    if not rows:
        return sections.faint("Everything is as by default.")
    header = ["key", "default", *names]
    caption = "What differs from the defaults of the task; all keys are in config.json."
    return html.table([header, *rows], caption, class_="words")
