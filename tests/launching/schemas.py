"""The parts of published schemas that the launchers' files use, in our own words.

Nothing else is allowed in them, so a misspelled field fails. Read from:

- JobSet: kubernetes-sigs/jobset, `api/jobset/v1alpha2/jobset_types.go`, v0.10
- Job, pod: Kubernetes API v1.31, `batch/v1` Job and `core/v1` PodSpec
- SkyPilot: docs.skypilot.co, "SkyPilot YAML" and `sky/utils/schemas.py`, v0.11
"""

from typing import Any

Schema = dict[str, Any]

# RFC 1123: names of Kubernetes' objects that become names of hosts.
_LABEL: Schema = {
    "type": "string",
    "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "maxLength": 63,
}
_STRING: Schema = {"type": "string", "minLength": 1}
_STRINGS: Schema = {"type": "array", "items": {"type": "string"}}
_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def _object(required: str = "", **properties: Schema) -> Schema:
    """An object of these properties and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, "minItems": 1} | more


def _number(least: int, most: int = 2**31 - 1) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


_QUANTITIES: Schema = {
    "type": "object",
    "propertyNames": {"enum": ["google.com/tpu", "cpu", "memory"]},
    "additionalProperties": _number(1),
}

_CONTAINER = _object(
    "name image",
    name=_LABEL,
    image=_STRING,
    command=_STRINGS,
    args=_STRINGS,
    workingDir=_STRING,
    ports=_list(_object("containerPort", containerPort=_number(1, 65535))),
    env=_list(_object("name", name=_STRING, value={"type": "string"})),
    resources=_object(requests=_QUANTITIES, limits=_QUANTITIES),
    volumeMounts=_list(_object("name mountPath", name=_LABEL, mountPath=_STRING)),
)

# `podFailurePolicy` asks for a restart policy of Never.
_POD = _object(
    "containers restartPolicy",
    containers=_list(_CONTAINER),
    initContainers=_list(_CONTAINER),
    restartPolicy={"const": "Never"},
    terminationGracePeriodSeconds=_number(0),
    nodeSelector=_TEXTS,
    serviceAccountName=_LABEL,
    tolerations=_list(
        _object(
            key=_STRING,
            operator={"enum": ["Exists", "Equal"]},
            value={"type": "string"},
            effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
        )
    ),
    volumes=_list(_object("name", name=_LABEL, emptyDir=_object())),
)

_EXIT_CODES = _object(
    "operator values",
    containerName=_LABEL,
    operator={"enum": ["In", "NotIn"]},
    values=_list(_number(0), uniqueItems=True, maxItems=255),
)
_CONDITION = _object(
    "type status", type=_STRING, status={"enum": ["True", "False", "Unknown"]}
)
_RULE = _object(
    "action",
    action={"enum": ["FailJob", "FailIndex", "Ignore", "Count"]},
    onExitCodes=_EXIT_CODES,
    onPodConditions=_list(_CONDITION),
) | {"oneOf": [{"required": ["onExitCodes"]}, {"required": ["onPodConditions"]}]}

_JOB = _object(
    "template",
    parallelism=_number(0),
    completions=_number(0),
    completionMode={"enum": ["Indexed", "NonIndexed"]},
    backoffLimit=_number(0),
    podFailurePolicy=_object("rules", rules=_list(_RULE, maxItems=20)),
    template=_object("spec", spec=_POD),
)

JOBSET = _object(
    "apiVersion kind metadata spec",
    apiVersion={"const": "jobset.x-k8s.io/v1alpha2"},
    kind={"const": "JobSet"},
    metadata=_object("name", name=_LABEL, namespace=_LABEL, annotations=_TEXTS),
    spec=_object(
        "replicatedJobs",
        network=_object(enableDNSHostnames={"type": "boolean"}, subdomain=_LABEL),
        failurePolicy=_object(
            maxRestarts=_number(0),
            rules=_list(
                _object(
                    "name action",
                    name={
                        "type": "string",
                        "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    },
                    action={
                        "enum": [
                            *("FailJobSet", "RestartJobSet"),
                            "RestartJobSetAndIgnoreMaxRestarts",
                        ]
                    },
                    onJobFailureReasons=_list(
                        {
                            # Reasons that the Job controller gives.
                            "enum": [
                                *("BackoffLimitExceeded", "DeadlineExceeded"),
                                *("FailedIndexes", "MaxFailedIndexesExceeded"),
                                "PodFailurePolicy",
                            ]
                        },
                        uniqueItems=True,
                    ),
                ),
            ),
        ),
        replicatedJobs=_list(
            _object(
                "name template",
                name=_LABEL,
                replicas=_number(0),
                template=_object("spec", spec=_JOB),
            )
        ),
    ),
)

# One exit code or several; 137 is SkyPilot's own.
_CODE: Schema = _number(0, 255) | {"not": {"const": 137}}
SKYPILOT = _object(
    "",
    name={"type": "string"},
    workdir={"type": "string"},
    num_nodes=_number(1),
    resources=_object(
        infra={"type": "string"},
        accelerators={"type": "string", "pattern": r"^tpu-[a-z0-9]+-\d+(:\d+)?$"},
        accelerator_args=_object(
            runtime_version={"type": "string"}, tpu_vm={"type": "boolean"}
        ),
        use_spot={"type": "boolean"},
        job_recovery=_object(
            strategy={"type": "string"},
            max_restarts_on_errors=_number(0),
            recover_on_exit_codes={"anyOf": [_CODE, _list(_CODE)]},
        ),
    ),
    envs=_TEXTS,
    setup={"type": "string"},
    run={"type": "string"},
)
