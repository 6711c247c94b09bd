"""The JobSet for GKE, and what is done with it."""

import jsonschema
import pytest
import yaml

from hrnet_jax.launching import jobset
from hrnet_jax.launching.job import Job
from hrnet_jax.launching.slices import find_slice, rented_slices
from tests.launching import schemas
from tests.launching.conftest import TRAIN

OPTIONS = (
    jobset.Options(),
    jobset.Options(
        *("training", "cluster", True, "trainer"), image="mine:1", grace_seconds=30
    ),
)
UPLOAD = (
    "gcloud storage cp .cache/tpu/w48/hrnet_jax.tar.gz gs://b/hrnet_jax_code/w48.tar.gz"
)
STATE = (
    "kubectl --namespace=default get jobset w48 "
    "'--output=jsonpath={.status.terminalState}:{.status.restarts}'"
)
EARLIER = (
    "kubectl --namespace=default get jobset w48 --ignore-not-found "
    "'--output=jsonpath={.status.terminalState}'"
)
DELETE = "kubectl --namespace=default delete jobset w48"
APPLY = "kubectl --namespace=default apply --filename=.cache/tpu/w48/jobset.yaml"


def job_on(topology):
    return Job("w48", find_slice(topology), TRAIN[1:])


def pod_of(content):
    (role,) = content["spec"]["replicatedJobs"]
    return role["template"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "all"])
def test_every_manifest_fits_the_schema(options):
    schema = jsonschema.Draft202012Validator(schemas.JOBSET)
    for rented in rented_slices():
        content = jobset.manifest(job_on(rented.name), options)
        schema.validate(content)
    # What is written is what was meant.
    assert yaml.safe_load(jobset.as_yaml(content)) == content


def test_the_schema_knows_no_other_fields():
    content = jobset.manifest(job_on("v5e:4x4"), OPTIONS[0])
    pod_of(content)["nodeselector"] = {}
    with pytest.raises(jsonschema.ValidationError, match="nodeselector"):
        jsonschema.validate(content, schemas.JOBSET)


def test_each_host_of_the_slice_has_a_pod_with_its_chips():
    content = jobset.manifest(job_on("v6e:4x4"), OPTIONS[0])
    (role,) = content["spec"]["replicatedJobs"]
    job, pod = role["template"]["spec"], pod_of(content)
    assert (role["replicas"], job["parallelism"], job["completions"]) == (1, 4, 4)
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice",
        "cloud.google.com/gke-tpu-topology": "4x4",
    }
    (container,) = pod["containers"]
    chips = {"google.com/tpu": 4}
    assert container["resources"] == {"requests": chips, "limits": chips}
    assert container["env"] == [{"name": "HRNET_JAX_PROCESSES", "value": "auto"}]
    # The headless service, by which they find each other.
    assert content["spec"]["network"] == {
        "enableDNSHostnames": True,
        "subdomain": "w48",
    }
    alone = pod_of(jobset.manifest(job_on("v6e:2x4"), OPTIONS[0]))["containers"][0]
    assert alone["resources"]["limits"] == {"google.com/tpu": 8}
    assert "env" not in alone


def becomes_of(content, code, lost=False):
    """What Kubernetes and the JobSet controller do after a pod's end, as they say.

    The first rule of the Job that matches counts; a failure that is counted exceeds
    the limit of 0. The first rule of the JobSet that matches the Job's reason counts.
    """
    (role,) = content["spec"]["replicatedJobs"]
    job, policy = role["template"]["spec"], content["spec"]["failurePolicy"]
    assert job["backoffLimit"] == 0
    reason = "BackoffLimitExceeded"
    for rule in job["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes", {"values": []})["values"]
        if code in codes or (lost and "onPodConditions" in rule):
            reason = {"FailJob": "PodFailurePolicy", "Count": reason}[rule["action"]]
            break
    for rule in policy["rules"]:
        if reason in rule["onJobFailureReasons"]:
            return rule["action"]
    return "RestartJobSet"


def test_75_begins_again_and_wrong_input_does_not():
    content = jobset.manifest(job_on("v5e:4x4"), OPTIONS[0])
    assert content["spec"]["failurePolicy"]["maxRestarts"] == 100
    assert becomes_of(content, 75) == "RestartJobSet"
    assert becomes_of(content, 2) == "FailJobSet"
    assert becomes_of(content, 1) == "FailJobSet"
    # Killed, or aborted because another host is gone.
    assert becomes_of(content, 137) == "RestartJobSet"
    assert becomes_of(content, 134) == "RestartJobSet"
    # A node that is taken away, whatever its pod said last.
    assert becomes_of(content, 1, lost=True) == "RestartJobSet"


def test_the_program_gets_the_signal_and_time_to_save():
    for options, last in zip(OPTIONS, (120, 30), strict=True):
        pod = pod_of(jobset.manifest(job_on("v5e:4x4"), options))
        assert pod["terminationGracePeriodSeconds"] == last
        (container,) = pod["containers"]
        *_, line = container["args"][0].splitlines()
        assert line.startswith("exec python scripts/train.py --config=")


def test_spot_and_service_account():
    pod = pod_of(jobset.manifest(job_on("v5e:2x4"), OPTIONS[1]))
    assert pod["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
    assert "cloud.google.com/gke-spot" in [item["key"] for item in pod["tolerations"]]
    assert pod["serviceAccountName"] == "trainer"


def test_the_checkout_comes_from_the_bucket_or_with_the_image():
    pod = pod_of(jobset.manifest(job_on("v5e:2x4"), OPTIONS[0]))
    (fetch,) = pod["initContainers"]
    assert "gs://b/hrnet_jax_code/w48.tar.gz | tar" in fetch["args"][0]
    (container,) = pod["containers"]
    assert container["workingDir"] == container["volumeMounts"][0]["mountPath"]
    assert "--editable='.[all,tpu,gcs]'" in container["args"][0]
    pod = pod_of(jobset.manifest(job_on("v5e:2x4"), OPTIONS[1]))
    (container,) = pod["containers"]
    assert "initContainers" not in pod and "volumes" not in pod
    assert container["image"] == "mine:1" and "pip" not in container["args"][0]


def test_a_job_is_handed_to_the_cluster(launch, stand_ins, checkout):
    code, out, err = launch("gke")
    assert (code, out) == (0, "")
    assert stand_ins.calls() == [UPLOAD, EARLIER, APPLY]
    assert err.endswith("kubectl --namespace=default delete jobset w48\n")
    text = (checkout / ".cache/tpu/w48/jobset.yaml").read_text()
    jsonschema.validate(yaml.safe_load(text), schemas.JOBSET)


def test_options_reach_kubectl(launch, stand_ins):
    launch("gke", "--context=c", "--namespace=n", "--image=i", "--code=gs://x/y.tar.gz")
    _, apply = stand_ins.calls()
    assert apply.startswith("kubectl --namespace=n --context=c apply --filename=")
    launch("gke", "--code=gs://x/y.tar.gz")
    assert stand_ins.calls()[2].endswith("gs://x/y.tar.gz")


@pytest.mark.parametrize(("state", "code"), [("Completed", 0), ("Failed", 1)])
def test_waiting_ends_with_the_job(state, code, launch, stand_ins):
    answers = [(0, ":", ""), (1, "", "timeout\n"), (0, ":1", ""), (0, f"{state}:1", "")]
    stand_ins.answer({"get jobset w48 --o": answers})
    found, _, err = launch("gke", "--wait", "--delete_after")
    assert found == code
    assert stand_ins.calls()[2:] == [APPLY, *[STATE] * 4, DELETE]
    assert f"w48: started again 1 times\nw48: {state}\n" in err


def test_one_that_has_ended_makes_room(launch, stand_ins):
    stand_ins.answer({"--ignore-not-found": [(0, "Failed", "")]})
    assert launch("gke")[0] == 0
    assert stand_ins.calls() == [UPLOAD, EARLIER, DELETE, APPLY]


REFUSED = {
    "apply": (
        [],
        {"apply": [(1, "", "no JobSet\n")]},
        "kubectl --namespace=default apply ended with exit code 1, see above",
    ),
    "bucket": (
        [],
        {"gcloud": [(1, "", "403\n")]},
        "gcloud storage cp ended with exit code 1, see above",
    ),
    "gone": (
        ["--wait"],
        {"get jobset w48 --o": [(1, "", "Error: not found\n")]},
        "w48: kubectl says: Error: not found",
    ),
    "no cluster": (
        [],
        {"get jobset": [(1, "", "connection refused\n")]},
        "w48: kubectl says: connection refused",
    ),
    "delete": (["--delete_after"], {}, "--delete_after needs --wait: it deletes what"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_line(name, launch, stand_ins):
    options, answers, message = REFUSED[name]
    stand_ins.answer(answers)
    code, _, err = launch("gke", *options)
    assert code == 2
    assert err.splitlines()[-1].startswith(f"error: {message}")


def test_code_needs_a_bucket(launch):
    command = (*TRAIN[:-1], "--workdir=/mnt/runs/w48")
    code, _, err = launch("gke", command=command)
    assert code == 2
    assert "--code is missing; expected gs://BUCKET/NAME.tar.gz" in err


def test_a_dry_run_shows_what_a_run_does(launch, stand_ins, checkout):
    stand_ins.answer({"get jobset w48 --o": [(0, "Completed:0", "")]})
    launch("gke", "--wait", "--delete_after")
    _, out, _ = launch("gke", "--wait", "--delete_after", "--dry_run")
    shown = out.replace(" \\\n    ", " ")
    for call in stand_ins.calls():
        assert f"$ {call}\n" in shown
    text = (checkout / ".cache/tpu/w48/jobset.yaml").read_text()
    assert "".join(f"    {line}\n" for line in text.splitlines()) in out
