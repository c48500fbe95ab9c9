"""The network, its weights, and the engines that answer by them."""

from pathlib import Path

SHIPPED_MODEL = Path(__file__).with_name("redshift.safetensors")
SHIPPED_DIGEST = "59e9f0c1d0449b1739b9abc712b0f5f0"  # by `checkpoint.digest`; other files have theirs in their metadata
