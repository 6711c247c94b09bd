"""Runs one command on a TPU slice of Google Kubernetes Engine, as a JobSet.

    python scripts/tpu/gke.py --name=w48 --topology=v5e:4x4 --spot -- \\
        scripts/train.py --config=experiments/segmentation/cityscapes.py \\
        --config.dataset.data_dir=gs://BUCKET/data --workdir=gs://BUCKET/runs/w48

Puts this checkout into the bucket, writes the manifest and hands it to the cluster,
which runs a pod on each host of the slice. All pods begin again where one is lost or
ends with exit code 75 (stopped with everything saved); exit codes 1 and 2 end the job.
--dry_run prints every command and every file. Needs kubectl, gcloud, and the JobSet
controller in the cluster. See docs/tpu.md.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import sys

from hrnet_jax.config import command_line
from hrnet_jax.launching import job, jobset
from hrnet_jax.launching.shell import Shell


def parse_arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own command line and, after `--`, that of the job."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [options] -- SCRIPT.py [arguments]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    job.add_arguments(parser)
    parser.add_argument("--namespace", default="default", help="default: default")
    parser.add_argument("--context", help="of kubectl (default: the current one)")
    parser.add_argument(
        "--service_account", help="of Kubernetes, with access to the bucket"
    )
    parser.add_argument(
        "--image",
        help="that has the project installed and its scripts in the working directory "
        "(default: one with Python, where pods install this checkout)",
    )
    parser.add_argument(
        "--code",
        help="gs://BUCKET/NAME.tar.gz, where this checkout is put for the pods "
        "(default: in the bucket of --workdir)",
    )
    parser.add_argument(
        "--grace_seconds",
        type=int,
        default=120,
        help="from SIGTERM to the end of a pod, time to save (default: 120)",
    )
    parser.add_argument(
        "--max_restarts",
        type=int,
        default=100,
        help="how often all pods may begin again (default: 100)",
    )
    parser.add_argument("--wait", action="store_true", help="until the job has ended")
    parser.add_argument(
        "--poll_seconds",
        type=float,
        default=30,
        help="between two questions whether it has (default: 30)",
    )
    parser.add_argument(
        "--delete_after",
        action="store_true",
        help="with --wait: delete the JobSet when the job has ended, however it did",
    )
    return job.parse(parser, argv)


def main() -> None:
    """Hands the job to the cluster, or prints what that would be."""
    arguments, command = parse_arguments(sys.argv[1:])
    with command_line.reporting_errors():
        options = jobset.Options(
            namespace=arguments.namespace,
            context=arguments.context,
            spot=arguments.spot,
            service_account=arguments.service_account,
            image=arguments.image,
            code=arguments.code,
            grace_seconds=arguments.grace_seconds,
            max_restarts=arguments.max_restarts,
            wait=arguments.wait,
            poll_seconds=arguments.poll_seconds,
            delete_after=arguments.delete_after,
        )
        shell = Shell(arguments.dry_run)
        code = jobset.launch(job.make_job(arguments, command), options, shell)
    sys.exit(code)


if __name__ == "__main__":
    main()
