"""Tells the weights of a network that were given where galaxies are wanted.

It is imported where a file has been refused already.
"""

from collections.abc import Iterable

from lambda_image.data.inert_pickle import Inert
from lambda_image.data.torch_archive import StoredTensor

WEIGHTS = "it holds the weights of a network and no galaxies: name a dataset"
PARAMETERS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}  # how PyTorch calls them
MAX_DEPTH = 20  # of containers in one another


def are_weights(names: Iterable[object]) -> bool:
    """Tells whether tensors of these names are the parameters of a network."""
    known = [str(name).rpartition(".")[2] in PARAMETERS for name in names]
    return 2 * sum(known) > len(known) > 0


def hold_weights(content: object) -> bool:
    """Tells whether what a pickle describes is a network, or a dict of its parameters, and holds no other tensors.

    The state of an optimizer beside it does not count.
    """
    return _kind(content, {}) == "weights"


def _kind(content: object, known: dict[int, str], depth: int = 0) -> str:
    """What lies in it: "weights", "tensors" of anything, or nothing. Each object is looked at once (`known`)."""
    if isinstance(content, StoredTensor):
        return "tensors"
    if isinstance(content, Inert):
        return "weights" if "_modules" in content.state else "tensors"  # of a dataset, or of who knows what
    if not isinstance(content, (dict, list, tuple)) or depth > MAX_DEPTH:
        return ""
    if id(content) not in known:
        known[id(content)] = ""  # where it holds itself
        if isinstance(content, dict) and are_weights(content):
            known[id(content)] = "weights"
        else:
            values = content.values() if isinstance(content, dict) else content
            names = content if isinstance(content, dict) else [""] * len(content)
            kinds = {
                _kind(value, known, depth + 1)
                for name, value in zip(names, values, strict=True)
                if not str(name).startswith("optim")
            }
            known[id(content)] = "tensors" if "tensors" in kinds else "weights" if "weights" in kinds else ""
    return known[id(content)]
