"""A network that weights are converted of: small, and told apart by its tensors."""

from hrnet_jax.models.variants import Variant

# As little as can be told apart: all stages are there, which `tiny` has not.
THIN = Variant(4, stage1_blocks=1, stage1_width=4, modules=(1, 1, 1), blocks=1)
