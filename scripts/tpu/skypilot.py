"""Runs one command on a TPU slice that SkyPilot finds, as one of its managed jobs.

    python scripts/tpu/skypilot.py --name=w48 --topology=v5e:4x4 --spot -- \\
        scripts/train.py --config=experiments/segmentation/cityscapes.py \\
        --config.dataset.data_dir=gs://BUCKET/data --workdir=gs://BUCKET/runs/w48

Writes a task and hands it to `sky jobs launch`. SkyPilot looks for the slice in all
zones of --infra, takes the run up again where the slice is preempted or the command
ends with exit code 75 (stopped with everything saved), and gives everything back.
--dry_run prints every command and every file. Needs sky. See docs/tpu.md.
"""

from hrnet_jax.config import script

if __name__ == "__main__":
    script.begins()

import argparse
import sys

from hrnet_jax.config import command_line
from hrnet_jax.launching import job, skypilot
from hrnet_jax.launching.shell import Shell


def parse_arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own command line and, after `--`, that of the job."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [options] -- SCRIPT.py [arguments]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    job.add_arguments(parser)
    parser.add_argument(
        "--infra", default="gcp", help="gcp, gcp/REGION or gcp/REGION/ZONE"
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="return once the job is accepted, instead of showing what it prints",
    )
    return job.parse(parser, argv)


def main() -> None:
    """Hands the job to SkyPilot, or prints what that would be."""
    arguments, command = parse_arguments(sys.argv[1:])
    with command_line.reporting_errors():
        options = skypilot.Options(
            infra=arguments.infra, spot=arguments.spot, detach=arguments.detach
        )
        shell = Shell(arguments.dry_run)
        code = skypilot.launch(job.make_job(arguments, command), options, shell)
    sys.exit(code)


if __name__ == "__main__":
    main()
