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

from hrnet_jax.launching import command_line, jobset


def make_parser() -> argparse.ArgumentParser:
    """Options of this launcher."""
    parser = command_line.make_parser(__doc__)
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
    return parser


def main() -> None:
    """Hands the job to the cluster, or prints what that would be."""
    command_line.launch(make_parser(), jobset.Options, jobset.launch)


if __name__ == "__main__":
    main()
