"""Whether the surroundings say that there are other processes."""

import http.server
import os
import subprocess
import sys
import threading

import pytest

from hrnet_jax.errors import ConfigError
from hrnet_jax.runtime import cluster, processes
from scripts.launch.local import free_port
from tests import tiny

GKE = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "JOB_COMPLETION_INDEX": "1",
    "TPU_WORKER_ID": "1",
    "TPU_WORKER_HOSTNAMES": "w48-run-0-0.w48,w48-run-0-1.w48",
    "TPU_SKIP_MDS_QUERY": "true",
}
SLICES = {
    "MEGASCALE_COORDINATOR_ADDRESS": "w48-run-0-0.w48",
    "MEGASCALE_NUM_SLICES": "2",
    "MEGASCALE_SLICE_ID": "1",
}
ONE_HOST = {"TPU_WORKER_ID": "0", "TPU_WORKER_HOSTNAMES": "localhost"}
TPU_VM = {"TPU_ML_PLATFORM": "JAX"}


@pytest.fixture
def nothing_is_asked(monkeypatch):
    def fail(environment):
        raise AssertionError("the metadata server was asked")

    monkeypatch.setattr(cluster, "_hosts_of_tpu_vm", fail)


@pytest.mark.parametrize(
    "environment",
    [
        GKE,
        SLICES,
        ONE_HOST | SLICES,
        {"TPU_PROCESS_ADDRESSES": "a:1,b:1", "TPU_WORKER_ID": "0"},
        GKE | {"JAX_PLATFORMS": "tpu,cpu"},
    ],
)
def test_several_hosts_find_each_other_without_being_told(
    environment, nothing_is_asked
):
    assert processes.place_from(environment) == {}
    # Which one may still refuse.
    assert processes.place_from(environment | {"HRNET_JAX_PROCESSES": "1"}) is None


@pytest.mark.parametrize(
    "environment",
    [
        {},
        ONE_HOST,
        ONE_HOST | TPU_VM,
        # A laptop, any pod of Kubernetes, of a job with an index, of a sweep.
        {"TPU_SKIP_MDS_QUERY": "1"} | TPU_VM,
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "3"},
        {"TPU_WORKER_ID": "0"},
        SLICES | {"MEGASCALE_NUM_SLICES": "1", "MEGASCALE_SLICE_ID": "0"},
        # On CPUs, beside the TPUs.
        GKE | {"JAX_PLATFORMS": "cpu"},
    ],
)
def test_one_host_works_alone(environment, nothing_is_asked):
    assert processes.place_from(environment) is None


def test_what_the_user_says_counts_more(nothing_is_asked):
    stated = {
        "HRNET_JAX_PROCESSES": "2",
        "HRNET_JAX_PROCESS": "0",
        "HRNET_JAX_COORDINATOR": "10.0.0.7:1",
    }
    assert processes.place_from(GKE | stated)["num_processes"] == 2


HALF = [
    (GKE, "TPU_WORKER_ID", None, "TPU_WORKER_ID='' beside 2 hosts in TPU_WORKER_HOST"),
    (GKE, "TPU_WORKER_ID", "2", "TPU_WORKER_ID='2' beside 2 hosts .* number below 2"),
    (GKE, "TPU_WORKER_ID", "-1", "TPU_WORKER_ID='-1' beside 2 hosts"),
    (GKE, "TPU_WORKER_HOSTNAMES", None, "TPU_WORKER_HOSTNAMES is missing beside TPU_W"),
    (SLICES, "MEGASCALE_NUM_SLICES", None, "MEGASCALE_NUM_SLICES='' beside MEGASCALE_"),
    (SLICES, "MEGASCALE_SLICE_ID", None, "MEGASCALE_SLICE_ID='' beside MEGASCALE_COOR"),
    (
        SLICES,
        "MEGASCALE_SLICE_ID",
        "2",
        "MEGASCALE_SLICE_ID=2; expected a number below",
    ),
    (SLICES, "MEGASCALE_COORDINATOR_ADDRESS", None, "_ADDRESS is missing beside MEGAS"),
]


@pytest.mark.parametrize(("whole", "name", "value", "message"), HALF)
def test_half_of_it_is_an_error_that_names_the_variable(whole, name, value, message):
    environment = {key: text for key, text in whole.items() if key != name}
    if value is not None:
        environment[name] = value
    with pytest.raises(ConfigError, match=message) as caught:
        processes.place_from(environment)
    assert "\n" not in str(caught.value)


@pytest.fixture
def serve_metadata():
    """Starts metadata servers of TPU VMs: attributes -> host and port."""
    servers = []

    def serve(attributes):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                folder, _, name = self.path.rpartition("/")
                known = folder == "/computeMetadata/v1/instance/attributes"
                known &= self.headers["Metadata-Flavor"] == "Google"
                known &= name in attributes
                self.send_response(200 if known else 404)
                self.end_headers()
                self.wfile.write(attributes[name].encode() if known else b"")

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"127.0.0.1:{server.server_port}"

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "several"),
    [
        # With names, ids and addresses, or names alone.
        ("unknown:unknown:10.0.0.2,unknown:unknown:10.0.0.3", True),
        ("host-0,host-1,host-2,host-3", True),
        ("unknown:unknown:10.0.0.2", False),
        (None, False),
    ],
)
def test_a_tpu_vm_asks_its_metadata_server(answer, several, serve_metadata):
    named = {"worker-network-endpoints": answer} if answer else {}
    environment = TPU_VM | {"GCE_METADATA_IP": serve_metadata(named)}
    assert processes.place_from(environment) == ({} if several else None)


def test_where_no_server_answers_a_tpu_vm_works_alone():
    environment = TPU_VM | {"GCE_METADATA_IP": "127.0.0.1:9"}
    assert processes.place_from(environment) is None


@pytest.mark.slow
def test_jax_says_where_it_finds_tpus_and_where_not():
    """What keeps laptops from asking is set by JAX when it is imported."""
    code = (
        "import os; [os.environ.pop(n, 0) for n in ('TPU_ML_PLATFORM',"
        "'TPU_SKIP_MDS_QUERY')]; import jax;"
        "print(*(n in os.environ for n in ('TPU_ML_PLATFORM', 'TPU_SKIP_MDS_QUERY')))"
    )
    variables = {"JAX_PLATFORMS": "cpu"}
    assert tiny.run_python(code, **variables).stdout.split() == ["False", "True"]
    forced = tiny.run_python(code, **variables, JAX_FORCE_TPU_INIT="1")
    assert forced.stdout.split() == ["True", "True"], forced.stderr
    assert "JAX_FORCE_TPU_INIT" not in os.environ


MEET = """
import os
import jax
jax.config.update("jax_platforms", "cpu")
if "TPU_WORKER_HOSTNAMES" not in os.environ:
    # A TPU VM; JAX found no chip here.
    del os.environ["TPU_SKIP_MDS_QUERY"]
from hrnet_jax.runtime import processes
processes.join()
print(jax.process_index(), jax.process_count())
"""


def meet(variables):
    """Starts one process for each, and waits; what they print."""
    environment = {k: v for k, v in tiny.environment().items() if k[:4] != "JAX_"}
    for name in ("TPU_SKIP_MDS_QUERY", "TPU_ML_PLATFORM", "TPU_WORKER_HOSTNAMES"):
        environment.pop(name, None)
    common = {
        "JAX_FORCE_TPU_INIT": "1",
        "JAX_COORDINATOR_PORT": str(free_port()),
        "XLA_FLAGS": "",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MEET],
            env=environment | common | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for own in variables
    ]
    done = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], done
    return [out.strip() for out, _ in done]


@pytest.mark.slow
def test_two_pods_of_gke_meet_by_what_jax_itself_reads(serve_metadata):
    hosts = {
        "TPU_WORKER_HOSTNAMES": "localhost,localhost",
        "TPU_SKIP_MDS_QUERY": "true",
        # JAX asks there for several slices.
        "GCE_METADATA_IP": serve_metadata({"tpu-env": ""}),
    }
    assert meet([hosts | {"TPU_WORKER_ID": str(index)} for index in (0, 1)]) == [
        "0 2",
        "1 2",
    ]


@pytest.mark.slow
def test_two_tpu_vms_meet_by_what_jax_itself_asks(serve_metadata):
    endpoints = "a:0:127.0.0.1,b:1:127.0.0.1"
    variables = [
        {
            "GCE_METADATA_IP": serve_metadata(
                {
                    "agent-worker-number": str(index),
                    "worker-network-endpoints": endpoints,
                    "tpu-env": "ZONE: 'z'",
                }
            )
        }
        for index in (0, 1)
    ]
    assert meet(variables) == ["0 2", "1 2"]


def test_processes_that_cannot_meet_say_so_in_one_line():
    code = """
import jax
from hrnet_jax.config import command_line
def fail(**place):
    raise RuntimeError("no coordinator")
jax.distributed.initialize = fail
with command_line.reporting_errors_together():
    print("alone")
"""
    process = tiny.run_python(code, **GKE | {"JAX_PLATFORMS": "tpu,cpu"})
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == (
        "error: HRNET_JAX_PROCESSES=auto: the processes cannot meet (no coordinator); "
        "expected HRNET_JAX_COORDINATOR that all of them reach, or a cluster that JAX "
        "knows\n"
    )
