"""The task for SkyPilot, and what is done with it."""

import jsonschema
import pytest
import yaml

from hrnet_jax.launching import skypilot
from hrnet_jax.launching.job import Job
from hrnet_jax.launching.slices import find_slice, rented_slices
from tests.launching import schemas
from tests.launching.conftest import TRAIN


def task_on(topology, **options):
    job = Job("w48", find_slice(topology), TRAIN[1:])
    return skypilot.task(job, skypilot.Options(**options))


def test_every_task_fits_the_schema():
    schema = jsonschema.Draft202012Validator(schemas.SKYPILOT)
    for rented in rented_slices():
        schema.validate(task_on(rented.name))
    wrong = task_on("v5e:4x4")
    wrong["resources"]["job_recovery"]["recover_on_exit_code"] = 75
    with pytest.raises(jsonschema.ValidationError, match="recover_on_exit_code"):
        jsonschema.validate(wrong, schemas.SKYPILOT)


def test_75_begins_again_and_other_exit_codes_do_not():
    task = task_on("v5e:4x4", spot=True, infra="gcp/us-west4")
    assert task["resources"] == {
        "infra": "gcp/us-west4",
        "accelerators": "tpu-v5litepod-16:1",
        "accelerator_args": {"runtime_version": "v2-alpha-tpuv5-lite"},
        "use_spot": True,
        "job_recovery": {"max_restarts_on_errors": 0, "recover_on_exit_codes": [75]},
    }


def test_hosts_look_for_each_other_where_there_are_several():
    assert task_on("v5e:4x4")["run"].startswith(
        "export HRNET_JAX_PROCESSES=auto\nexec .venv/bin/python scripts/train.py "
    )
    assert task_on("v5e:2x4")["run"].startswith(
        "exec .venv/bin/python scripts/train.py"
    )
    assert "[all,tpu,gcs]" in task_on("v5e:2x4")["setup"]


def test_a_job_is_handed_to_sky(launch, stand_ins, checkout):
    stand_ins.answer({"sky": [(0, "", ""), (3, "", "")]})
    code, _, err = launch("skypilot", "--detach")
    assert code == 0
    path = ".cache/tpu/w48/skypilot.yaml"
    assert stand_ins.calls() == [
        f"sky jobs launch --name=w48 --yes --detach-run {path}"
    ]
    assert err.endswith("sky jobs cancel --name w48 --yes\n")
    task = yaml.safe_load((checkout / path).read_text())
    jsonschema.validate(task, schemas.SKYPILOT)
    assert task["workdir"] == "."
    # What sky says is passed on.
    code, _, _ = launch("skypilot")
    assert code == 3 and "--detach-run" not in stand_ins.calls()[1]


def test_other_clouds_have_no_tpus(launch):
    code, _, err = launch("skypilot", "--infra=aws/us-east-1")
    assert code == 2
    assert err.startswith("error: --infra=aws/us-east-1; expected gcp, gcp/REGION or")
