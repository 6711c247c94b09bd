"""The paper's comparison: HRNetV1, V1h and V2.

    python scripts/sweep.py --config=experiments/segmentation/camvid.py \
        --space=experiments/sweeps/representations.py --sweepdir=runs/representations

They differ in what the head gets of the last stage: its highest resolution alone (V1),
that with more channels (V1h), or all four resolutions (V2). A list, taken in order; for
every experiment in segmentation.
"""

SWEEP = [
    {"model.representation": "v1"},
    {"model.representation": "v1h"},
    {"model.representation": "v2"},
]
