"""The network, its weights, and the engines that answer by them."""

from pathlib import Path

SHIPPED_MODEL = Path(__file__).with_name("redshift.safetensors")
SHIPPED_DIGEST = "a34de77fd96605e53a670ca4fcae61ac"  # by `checkpoint.digest`; other files have theirs in their metadata
