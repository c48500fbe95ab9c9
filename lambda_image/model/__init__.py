"""The network, its weights, and the engines that answer by them."""

from pathlib import Path

SHIPPED_MODEL = Path(__file__).with_name("redshift.safetensors")
SHIPPED_DIGEST = "be9590c824ba0c5dd260dd2874e2b2b6"  # by `checkpoint.digest`; other files have theirs in their metadata
