"""A job on Google Kubernetes Engine, as a JobSet: one pod for each host of a slice."""

import dataclasses
import json
import shlex
import time
from typing import Any

from hrnet_jax.errors import ConfigError
from hrnet_jax.launching.job import HOPELESS, RUN_AGAIN, Job, write_archive
from hrnet_jax.launching.shell import Shell

# Name of the one replicated job, and of its container.
_ROLE = "run"
_CODE = "/hrnet_jax"
_IMAGE = "python:3.12"
# Has gcloud, to fetch the checkout from its bucket.
_FETCHER = "google/cloud-sdk:slim"
# libtpu, Megascale, JAX's coordinator.
_PORTS = (8471, 8080, 8482)
_GKE = "cloud.google.com"
# What the JobSet controller and Job controller call a pod that no retry would help.
_HOPELESS_REASON = "PodFailurePolicy"
# The cluster does not answer now and then.
_TRIES = 5


@dataclasses.dataclass(frozen=True)
class Options:
    """Where and how pods run.

    Attributes:
        namespace: of Kubernetes.
        context: of kubectl; None takes the current one.
        spot: nodes that are cheaper and may be preempted.
        service_account: of Kubernetes, with access to the bucket; None: the default one.
        image: that has the project installed and its scripts in the working directory;
            None takes one with Python, and installs the checkout when pods start.
        code: where the checkout is put in a bucket; None: beside the work directory.
        grace_seconds: from SIGTERM to the end of a pod, time to save.
        max_restarts: how often all pods may begin again.
        wait: until the job has ended.
        poll_seconds: between two questions whether it has.
        delete_after: with `wait`, the JobSet is deleted then.
    """

    namespace: str = "default"
    context: str | None = None
    spot: bool = False
    service_account: str | None = None
    image: str | None = None
    code: str | None = None
    grace_seconds: int = 120
    max_restarts: int = 100
    wait: bool = False
    poll_seconds: float = 30
    delete_after: bool = False


def launch(job: Job, options: Options, shell: Shell) -> int:
    """Hands a job to the cluster; with `wait`, waits for its end.

    Returns:
        0 if it was accepted or, with `wait`, succeeded; else 1.

    Raises:
        ConfigError: if kubectl or gcloud refuses, and for options that do not fit.
    """
    if options.delete_after and not options.wait:
        raise ConfigError("--delete_after needs --wait: it deletes what has ended")
    shell.note(job.slice.describe())
    if options.image is None:
        archive = write_archive(job, shell)
        _must(shell, ["gcloud", "storage", "cp", str(archive), code_of(job, options)])
    path = job.folder / "jobset.yaml"
    shell.write(path, as_yaml(manifest(job, options)))
    kubectl = ["kubectl", f"--namespace={options.namespace}"]
    if options.context:
        kubectl.append(f"--context={options.context}")
    delete = [*kubectl, "delete", "jobset", job.name]
    _clear_away(job, shell, kubectl, delete)
    _must(shell, [*kubectl, "apply", f"--filename={path}"])
    label = f"jobset.sigs.k8s.io/jobset-name={job.name}"
    shell.note("what it prints:")
    shown = [
        *kubectl,
        "logs",
        "--follow",
        f"--selector={label}",
        f"--container={_ROLE}",
    ]
    if shell.dry_run:
        shell.run(shown)
    else:
        shell.note(" ".join(shown))
    code = _wait(job, options, shell, kubectl) if options.wait else 0
    if options.delete_after:
        _must(shell, delete)
    else:
        shell.note("to end it and to give the nodes back:")
        if shell.dry_run:
            shell.run(delete)
        else:
            shell.note(" ".join(delete))
    return code


def _clear_away(job: Job, shell: Shell, kubectl: list[str], delete: list[str]) -> None:
    """Deletes a JobSet of this name that has ended: it would not begin again."""
    question = [*kubectl, "get", "jobset", job.name, "--ignore-not-found"]
    if shell.dry_run:
        shell.note("one of this name that has ended is deleted first:")
    code, answer = shell.ask([*question, "--output=jsonpath={.status.terminalState}"])
    if code:
        raise ConfigError(f"{job.name}: kubectl says: {answer}")
    if answer or shell.dry_run:
        _must(shell, delete)


def _wait(job: Job, options: Options, shell: Shell, kubectl: list[str]) -> int:
    """Waits for the end; 0 if all pods succeeded."""
    path = "jsonpath={.status.terminalState}:{.status.restarts}"
    question = [*kubectl, "get", "jobset", job.name, f"--output={path}"]
    if shell.dry_run:
        shell.note("until it says Completed or Failed:")
        shell.run(question)
        return 0
    told = None
    while True:
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(options.poll_seconds)
            code, answer = shell.ask(question)
            if code == 0:
                break
        else:
            raise ConfigError(f"{job.name}: kubectl says: {answer}")
        state, _, restarts = answer.partition(":")
        if restarts != told:
            shell.note(f"{job.name}: started again {restarts or 0} times")
            told = restarts
        if state:
            shell.note(f"{job.name}: {state}")
            return 0 if state == "Completed" else 1
        time.sleep(options.poll_seconds)


def _must(shell: Shell, command: list[str]) -> None:
    code = shell.run(command)
    if code:
        raise ConfigError(
            f"{' '.join(command[:3])} ended with exit code {code}, see above"
        )


def code_of(job: Job, options: Options) -> str:
    """Where the checkout is put for the pods.

    Raises:
        ConfigError: if nothing says where.
    """
    if options.code:
        return options.code
    workdir = job.flag("--workdir") or ""
    if not workdir.startswith("gs://"):
        raise ConfigError(
            "--code is missing; expected gs://BUCKET/NAME.tar.gz, where the checkout is "
            "put for the pods to fetch, as --workdir is in no bucket"
        )
    bucket = workdir.removeprefix("gs://").split("/")[0]
    return f"gs://{bucket}/hrnet_jax_code/{job.name}.tar.gz"


def manifest(job: Job, options: Options) -> dict[str, Any]:
    """The JobSet.

    What becomes of a failed pod: the Job's `podFailurePolicy` fails the Job at once,
    with a reason of its own, for exit codes that would come again; that reason fails
    the JobSet. Every other failure (75, a lost node, a crash) fails the Job for its
    `backoffLimit` of 0, and the JobSet begins all pods again: JAX's processes cannot
    go on without one of them.
    """
    fails = {
        "name": "wouldFailAgain",
        "action": "FailJobSet",
        "onJobFailureReasons": [_HOPELESS_REASON],
    }
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {
            "name": job.name,
            "namespace": options.namespace,
            "annotations": {
                "alpha.jobset.sigs.k8s.io/exclusive-topology": f"{_GKE}/gke-nodepool"
            },
        },
        "spec": {
            # A headless service: with it GKE tells pods the names of all.
            "network": {"enableDNSHostnames": True, "subdomain": job.name},
            "failurePolicy": {"maxRestarts": options.max_restarts, "rules": [fails]},
            "replicatedJobs": [
                {"name": _ROLE, "replicas": 1, "template": _job(job, options)}
            ],
        },
    }


def _job(job: Job, options: Options) -> dict[str, Any]:
    """The Job of a slice."""
    rules: list[dict[str, Any]] = [
        # A lost node is no fault of the program, whatever exit code it left.
        {
            "action": "Count",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
        {
            "action": "Count",
            "onExitCodes": {
                "containerName": _ROLE,
                "operator": "In",
                "values": [RUN_AGAIN],
            },
        },
        {
            "action": "FailJob",
            "onExitCodes": {
                "containerName": _ROLE,
                "operator": "In",
                "values": [*HOPELESS],
            },
        },
    ]
    return {
        "spec": {
            "parallelism": job.slice.hosts,
            "completions": job.slice.hosts,
            "completionMode": "Indexed",
            "backoffLimit": 0,
            "podFailurePolicy": {"rules": rules},
            "template": {"spec": _pod(job, options)},
        }
    }


def _pod(job: Job, options: Options) -> dict[str, Any]:
    selector = {
        f"{_GKE}/gke-tpu-accelerator": job.slice.gke_accelerator,
        f"{_GKE}/gke-tpu-topology": job.slice.topology,
    }
    tolerations = [
        {"key": "google.com/tpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    if options.spot:
        selector[f"{_GKE}/gke-spot"] = "true"
        tolerations.append(
            {"key": f"{_GKE}/gke-spot", "operator": "Exists", "effect": "NoSchedule"}
        )
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": options.grace_seconds,
        "nodeSelector": selector,
        "tolerations": tolerations,
    }
    if options.service_account:
        pod["serviceAccountName"] = options.service_account
    container = _container(job, options)
    if options.image is None:
        mount = {"name": "code", "mountPath": _CODE}
        pod["volumes"] = [{"name": "code", "emptyDir": {}}]
        pod["initContainers"] = [_fetch(code_of(job, options), mount)]
        container |= {"workingDir": _CODE, "volumeMounts": [mount]}
    return pod | {"containers": [container]}


def _fetch(code: str, mount: dict[str, str]) -> dict[str, Any]:
    return {
        "name": "code",
        "image": _FETCHER,
        "command": ["bash", "-c"],
        "args": [
            "set -o pipefail\n"
            + f"gcloud storage cat {shlex.quote(code)} | tar --extract --gzip --directory={_CODE}\n"
        ],
        "volumeMounts": [mount],
    }


def _container(job: Job, options: Options) -> dict[str, Any]:
    lines = []
    if options.image is None:
        lines.append(f"pip install --quiet --editable='{job.requirement}'")
    # The program takes the place of the shell, which would keep SIGTERM from it.
    lines.append(f"exec {job.line('python')}")
    chips = {"google.com/tpu": job.slice.chips_per_host}
    container: dict[str, Any] = {
        "name": _ROLE,
        "image": options.image or _IMAGE,
        "command": ["bash", "-e", "-c"],
        "args": ["\n".join(lines) + "\n"],
        "ports": [{"containerPort": port} for port in _PORTS],
        "resources": {"requests": chips, "limits": chips},
    }
    if job.slice.hosts > 1:
        container["env"] = [{"name": "HRNET_JAX_PROCESSES", "value": "auto"}]
    return container


def as_yaml(content: dict[str, Any]) -> str:
    """YAML without references, texts of several lines as such."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            del data
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    # Plain values only.
    return yaml.dump(
        json.loads(json.dumps(content)), Dumper=Dumper, sort_keys=False, width=100
    )
