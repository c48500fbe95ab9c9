"""The network, its weights, and the engines that answer by them."""

from pathlib import Path

SHIPPED_MODEL = Path(__file__).with_name("redshift.safetensors")
