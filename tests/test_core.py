"""Networks and weights need nothing but the core packages."""

from tests import tiny

# Everything that only an extra brings.
EXTRAS = (
    "cv2 PIL matplotlib ml_collections tqdm safetensors grain clu tensorboardX skimage"
)
NETWORKS = """
import sys
blocked = set(sys.argv[1].split())
class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent)
import jax.numpy as jnp
import hrnet_jax
for name in hrnet_jax.model_names():
    hrnet_jax.create_model(name)
model = hrnet_jax.create_model("features/w18_small_v1")
variables = hrnet_jax.initial_variables(model)
hrnet_jax.pretrained.from_torch(
    hrnet_jax.pretrained.to_torch(variables, model), model
)
try:
    hrnet_jax.load_run
except ImportError as error:
    print(error)
"""


def test_networks_are_made_without_libraries_of_images_and_data():
    process = tiny.run_python(NETWORKS, EXTRAS)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("hrnet_jax.load_run needs the package ")
    assert process.stdout.endswith("pip install -e '.[predict]'\n")
