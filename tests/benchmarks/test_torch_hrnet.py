"""The PyTorch network of the benchmarks is the same network as ours."""

import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.pretrained import from_torch, to_torch
from hrnet_jax.registry import create_model
from tests.goldens import official

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
torch_hrnet = pytest.importorskip("benchmarks.torch_hrnet")

GOLDENS = {
    "segmentation/w18_small_v1": "segmentation/hrnet_w18_small_v1_cityscapes19_v11",
    "classification/w18_small_v1": "classification/w18_small_v1",
    "pose/w32": "pose/hrnet_w32_coco17",
}

torch.set_num_threads(1)  # On a busy machine more threads crawl.

# Largest difference, in standard deviations of the output.
TOLERANCE = 5e-5


def load(network, state_dict):
    """Loads a NumPy state dict strictly and switches to evaluation."""
    network.load_state_dict({k: torch.tensor(v) for k, v in state_dict.items()})
    return network.eval()


def torch_outputs(network, images):
    """Runs NHWC NumPy images; maps come back NHWC, vectors as they are."""
    with torch.inference_mode():
        outputs = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    outputs = outputs.numpy()
    return outputs.transpose(0, 2, 3, 1) if outputs.ndim == 4 else outputs


@pytest.mark.parametrize("name", GOLDENS)
def test_state_dict_is_that_of_the_official_code(name):
    state = torch_hrnet.create_torch_model(name).state_dict()
    expected = official.info(GOLDENS[name])["state_dict"]
    assert {k: (list(v.shape), str(v.dtype)) for k, v in state.items()} == {
        key: (shape, f"torch.{dtype}") for key, shape, dtype, _ in expected
    }


@pytest.mark.parametrize(
    ("name", "align_corners", "shape"),
    [
        pytest.param(
            *("segmentation/w18_small_v1", False, (2, 64, 96, 3)),
            marks=pytest.mark.slow,
        ),
        ("segmentation/w18_small_v1", False, (1, 65, 97, 3)),
        pytest.param(
            *("segmentation/w18_small_v1", True, (1, 65, 97, 3)),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("classification/w18_small_v1", False, (2, 64, 64, 3)),
            marks=pytest.mark.slow,
        ),
        pytest.param(*("pose/w32", False, (1, 64, 96, 3)), marks=pytest.mark.slow),
    ],
)
def test_outputs_equal_ours_through_to_torch(name, align_corners, shape):
    resizing = {"align_corners": True} if align_corners else {}
    model = create_model(name, **resizing)
    variables = from_torch(official.state_dict(GOLDENS[name]), model)
    network = load(
        torch_hrnet.create_torch_model(name, align_corners=align_corners),
        to_torch(variables, model),
    )
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    ours = np.asarray(runtime.jit(model.apply)(variables, images))
    theirs = torch_outputs(network, images)
    assert np.abs(ours - theirs).max() <= TOLERANCE * theirs.std()


def test_unknown_family_is_refused():
    with pytest.raises(ValueError, match="no PyTorch counterpart of 'pyramid/w32'"):
        torch_hrnet.create_torch_model("pyramid/w32")
