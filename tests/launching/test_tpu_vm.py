"""The launcher of TPU VMs, against a stand-in for gcloud."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests import tiny
from tests.launching.conftest import COMMON, TRAIN

GONE = (1, "", "ERROR: (gcloud.compute.tpus.queued-resources.describe) NOT_FOUND: no\n")
QUEUED = "gcloud compute tpus queued-resources"
NODE = "gcloud compute tpus tpu-vm"
CREATE = (
    f"{QUEUED} create w48 --node-id=w48 --zone=z --accelerator-type=v5litepod-16 "
    "--runtime-version=v2-alpha-tpuv5-lite --quiet"
)
STATE = f"{QUEUED} describe w48 --zone=z '--format=value(state.state)'"
COPY = (
    f"{NODE} scp .cache/tpu/w48/hrnet_jax.tar.gz .cache/tpu/w48/setup.sh "
    ".cache/tpu/w48/run.sh w48: --zone=z --worker=all --quiet"
)
SETUP = f"{NODE} ssh w48 --zone=z --worker=all --quiet '--command=bash setup.sh'"
RUN = f"{NODE} ssh w48 --zone=z --worker=all --quiet '--command=bash run.sh'"
NODE_STATE = f"{NODE} describe w48 --zone=z '--format=value(state)'"
DELETE = f"{QUEUED} delete w48 --zone=z --force --quiet"


def said(*texts):
    return [(0, text, "") for text in texts]


def states(*texts):
    """Answers to the question for the state; None: there is none."""
    return [GONE if text is None else (0, f"{text}\n", "") for text in texts]


def test_a_slice_is_created_awaited_prepared_and_used(launch, stand_ins, checkout):
    stand_ins.answer(
        {
            "queued-resources describe": states(
                *(None, "WAITING_FOR_RESOURCES", "PROVISIONING", "PROVISIONING"),
                "ACTIVE",
            )
        }
    )
    code, out, err = launch("vm")
    assert (code, out) == (0, "")
    assert stand_ins.calls() == [STATE, CREATE, *[STATE] * 4, COPY, SETUP, RUN]
    # Every state once, every command, and in the end what it still costs.
    assert err.count("w48: PROVISIONING\n") == 1
    assert f"$ {CREATE}\n" in err
    assert err.endswith(
        "ended; w48 is still rented. The same command uses it again; to give it back:\n"
        f"{QUEUED} delete w48 --zone=z --force --quiet\n"
    )
    text = (checkout / ".cache/tpu/w48/run.sh").read_text()
    assert (
        "export HRNET_JAX_PROCESSES=auto\nexec .venv/bin/python scripts/train" in text
    )
    assert (
        "--editable='.[all,tpu,gcs]'"
        in (checkout / ".cache/tpu/w48/setup.sh").read_text()
    )


def test_options_reach_gcloud(launch, stand_ins, checkout):
    stand_ins.answer({"queued-resources describe": states(None, "ACTIVE")})
    code, _, _ = launch(
        *(
            "vm",
            "--spot",
            "--project=p",
            "--service_account=me@p",
            "--topology=v6e:2x4",
        ),
        *("--runtime_version=new", "--extras=all,tpu,gcs,wandb", "--delete_after"),
    )
    assert code == 0
    calls = stand_ins.calls()
    assert calls[1] == (
        f"{QUEUED} create w48 --node-id=w48 --zone=z --project=p "
        "--accelerator-type=v6e-8 --runtime-version=new --service-account=me@p --spot "
        "--quiet"
    )
    assert all("--project=p" in call for call in calls)
    assert calls[-1] == f"{QUEUED} delete w48 --zone=z --project=p --force --quiet"
    # One host needs no others.
    assert "HRNET_JAX" not in (checkout / ".cache/tpu/w48/run.sh").read_text()
    assert "[all,tpu,gcs,wandb]" in (checkout / ".cache/tpu/w48/setup.sh").read_text()


def test_a_slice_that_is_there_is_used(launch, stand_ins):
    stand_ins.answer({"queued-resources describe": states("ACTIVE")})
    assert launch("vm")[0] == 0
    assert stand_ins.calls() == [STATE, COPY, SETUP, RUN]


def test_exit_code_75_and_preemption_begin_again_on_a_new_slice(launch, stand_ins):
    stand_ins.answer(
        {
            "bash run.sh": [(75, "", ""), (255, "", ""), (0, "done\n", "")],
            "queued-resources describe": states(
                *(None, "ACTIVE"),
                *(None, "ACTIVE", "SUSPENDING"),
                # Another one is lost before it is used.
                *(None, "PROVISIONING", "SUSPENDED", "ACTIVE"),
            ),
        }
    )
    code, _, err = launch("vm", "--delete_after")
    assert code == 0
    used = [COPY, SETUP, RUN]
    assert stand_ins.calls() == [
        *(STATE, CREATE, STATE, *used, DELETE),
        *(STATE, CREATE, STATE, *used, STATE, DELETE),
        *(STATE, CREATE, STATE, STATE, DELETE, CREATE, STATE, *used, DELETE),
    ]
    assert (
        "the run was stopped and has saved everything; once more on a new slice" in err
    )
    assert "the slice is gone; once more on a new slice" in err
    assert "w48: SUSPENDED; asking for a new one" in err


def test_a_node_that_is_preempted_is_gone_though_its_request_is_active(
    launch, stand_ins
):
    stand_ins.answer(
        {
            "bash run.sh": [(255, "", ""), (0, "", "")],
            "tpu-vm describe": said("PREEMPTED\n"),
            "queued-resources describe": states("ACTIVE", "ACTIVE", None, "ACTIVE"),
        }
    )
    assert launch("vm")[0] == 0
    calls = stand_ins.calls()
    assert calls[3:8] == [RUN, STATE, NODE_STATE, DELETE, STATE]


def test_a_lost_connection_takes_up_the_run_on_the_same_slice(launch, stand_ins):
    stand_ins.answer(
        {
            "bash run.sh": [(255, "", ""), (0, "", "")],
            "tpu-vm describe": said("READY\n"),
            "queued-resources describe": states("ACTIVE"),
        }
    )
    code, _, err = launch("vm")
    assert code == 0
    assert stand_ins.calls()[2:] == [SETUP, RUN, STATE, NODE_STATE, STATE, RUN]
    assert "the connection was lost; once more on the same slice" in err


@pytest.mark.parametrize(("code", "hint"), [(2, "; it would end so again"), (134, "")])
def test_any_other_exit_code_is_told_and_passed_on(code, hint, launch, stand_ins):
    stand_ins.answer(
        {
            "bash run.sh": [(code, "", "error: no data\n")],
            "tpu-vm describe": said("READY\n"),
            "queued-resources describe": states("ACTIVE"),
        }
    )
    found, _, err = launch("vm", "--delete_after")
    assert found == code
    line = f"scripts/train.py on w48 failed with exit code {code}{hint}\n"
    assert line in err
    assert stand_ins.calls()[-1] == DELETE


def test_hosts_that_do_not_answer_yet_are_asked_again(launch, stand_ins):
    answers = {
        "tpu-vm scp": [(1, "", "ssh: refused\n"), (0, "", "")],
        "tpu-vm describe": said("READY\n"),
        "queued-resources describe": states("ACTIVE"),
    }
    stand_ins.answer(answers)
    assert launch("vm")[0] == 0
    assert stand_ins.calls().count(COPY) == 2
    stand_ins.answer(answers | {"bash setup.sh": [(1, "", "no network\n")]})
    code, _, err = launch("vm")
    assert code == 1 and stand_ins.calls().count(SETUP) == 5
    assert "setup.sh on w48 failed with exit code 1" in err


REFUSED = {
    "no permission": (
        {"queued-resources describe": [(1, "", "ERROR: PERMISSION_DENIED: ask\n")]},
        "error: w48: gcloud says: ERROR: PERMISSION_DENIED: ask\n",
    ),
    "no quota": (
        {
            "queued-resources describe": [GONE],
            "queued-resources create": [(1, "", "ERROR: quota\n")],
        },
        "error: w48 cannot be created: gcloud ended with exit code 1, see above\n",
    ),
    "given up": (
        {
            "describe w48 --zone=z --format=value(state.failedData": said("stockout\n"),
            "queued-resources describe": states(None, "FAILED"),
        },
        "error: w48: Google Cloud gave up the request: stockout\n",
    ),
    "too late": (
        {"queued-resources describe": states(None, "PROVISIONING")},
        "error: w48: not active after 0 minutes (--wait_minutes); its request is deleted\n",
    ),
    "too often": (
        {
            "queued-resources describe": states("ACTIVE"),
            "bash run.sh": [(75, "", "")],
        },
        "error: w48: ended early 3 times; the same command goes on (--max_restarts)\n",
    ),
    "not deleted": (
        {
            "queued-resources describe": states("SUSPENDED"),
            "queued-resources delete": [(1, "", "")],
        },
        "error: w48 cannot be deleted: gcloud ended with exit code 1, see above\n",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_google_cloud_refuses_is_one_line(name, launch, stand_ins):
    answers, message = REFUSED[name]
    stand_ins.answer(answers)
    code, out, err = launch("vm", "--wait_minutes=0", "--max_restarts=2")
    assert (code, out) == (2, "")
    assert err.endswith(message)
    assert "Traceback" not in err


def test_a_dry_run_shows_what_a_run_does(launch, stand_ins):
    stand_ins.answer({"queued-resources describe": states(None, "ACTIVE")})
    launch("vm", "--delete_after")
    _, out, _ = launch("vm", "--delete_after", "--dry_run")
    shown = out.replace(" \\\n    ", " ")
    for call in stand_ins.calls():
        assert f"$ {call}\n" in shown


def test_ctrl_c_leaves_the_slice_and_says_so(launch, stand_ins, monkeypatch):
    from hrnet_jax.launching.shell import Shell

    run = Shell.run

    def pressed(shell, command):
        if "--command=bash run.sh" in command:
            raise KeyboardInterrupt
        return run(shell, command)

    monkeypatch.setattr(Shell, "run", pressed)
    stand_ins.answer({"queued-resources describe": states("ACTIVE")})
    code, _, err = launch("vm", "--delete_after")
    assert code == 130
    assert "stopped; the run may go on there; w48 is still rented." in err
    assert DELETE not in stand_ins.calls()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_launcher_and_leave_the_slice(number, checkout, stand_ins):
    began = checkout / "began"
    (stand_ins.folder / "gcloud").write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "*queued-resources\\ describe*) echo ACTIVE;;\n"
        "*delete*) touch deleted;;\n"
        f"*run.sh) touch {began}; exec sleep 60;;\n"
        "esac\n"
    )
    path = f"{stand_ins.folder}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [
            *(sys.executable, str(tiny.ROOT / "scripts/tpu/vm.py")),
            *COMMON["vm"],
            "--delete_after",
            *TRAIN,
        ],
        cwd=checkout,
        env=tiny.environment(PATH=path),
        stderr=subprocess.PIPE,
        text=True,
    )
    while not began.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped; the run may go on there; w48 is still rented." in err
    assert "Traceback" not in err and not (checkout / "deleted").exists()
