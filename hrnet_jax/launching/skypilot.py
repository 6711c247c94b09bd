"""A job for SkyPilot, which looks for a slice and begins again where one is lost."""

import dataclasses
import re
from typing import Any

from hrnet_jax.errors import ConfigError
from hrnet_jax.launching.job import RUN_AGAIN, Job
from hrnet_jax.launching.jobset import as_yaml
from hrnet_jax.launching.shell import Shell

_INFRA = re.compile(r"gcp(/[a-z0-9*-]+){0,2}")


@dataclasses.dataclass(frozen=True)
class Options:
    """What SkyPilot may take.

    Attributes:
        infra: `gcp`, `gcp/REGION` or `gcp/REGION/ZONE`.
        spot: slices that are cheaper and may be preempted.
        detach: return once the job is accepted, instead of showing what it prints.
    """

    infra: str = "gcp"
    spot: bool = False
    detach: bool = False


def launch(job: Job, options: Options, shell: Shell) -> int:
    """Hands a job to SkyPilot's controller.

    Returns:
        The exit code of `sky`.

    Raises:
        ConfigError: if `infra` is of another cloud.
    """
    if not _INFRA.fullmatch(options.infra):
        raise ConfigError(
            f"--infra={options.infra}; expected gcp, gcp/REGION or gcp/REGION/ZONE: no "
            "other cloud has TPUs"
        )
    shell.note(job.slice.describe())
    path = job.folder / "skypilot.yaml"
    shell.write(path, as_yaml(task(job, options)))
    command = ["sky", "jobs", "launch", f"--name={job.name}", "--yes"]
    if options.detach:
        command.append("--detach-run")
    code = shell.run([*command, str(path)])
    shell.note("how it goes, what it prints, and how to end it and to stop paying:")
    for words in (
        ["sky", "jobs", "queue"],
        ["sky", "jobs", "logs", "--name", job.name],
        ["sky", "jobs", "cancel", "--name", job.name, "--yes"],
    ):
        if shell.dry_run:
            shell.run(words)
        else:
            shell.note(" ".join(words))
    return code


def task(job: Job, options: Options) -> dict[str, Any]:
    """The task, as docs.skypilot.co/en/latest/reference/yaml-spec.html describes it."""
    run = [f"exec {job.line('.venv/bin/python')}\n"]
    if job.slice.hosts > 1:
        # On every host of the slice.
        run.insert(0, "export HRNET_JAX_PROCESSES=auto\n")
    return {
        "name": job.name,
        # The checkout; what git ignores stays here.
        "workdir": ".",
        "resources": {
            "infra": options.infra,
            "accelerators": f"tpu-{job.slice.accelerator_type}:1",
            "accelerator_args": {"runtime_version": job.slice.runtime},
            "use_spot": options.spot,
            "job_recovery": {
                "max_restarts_on_errors": 0,
                "recover_on_exit_codes": [RUN_AGAIN],
            },
        },
        "setup": (
            "set -e\n"
            "python3 -m pip install --quiet uv\n"
            "[ -d .venv ] || python3 -m uv venv --quiet --python=3.12 .venv\n"
            "python3 -m uv pip install --quiet --python=.venv "
            f"--editable='{job.requirement}'\n"
        ),
        "run": "".join(run),
    }
