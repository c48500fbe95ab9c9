"""Tells which extra of the installation brings a module that is missing."""

import re
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

PROJECT = "cosmicai"
ROOT = Path(__file__).resolve().parents[1]
USUAL = "local"  # the extra that the README installs
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "botocore": "boto3",
    "yaml": "pyyaml",
    "qp": "qp-prob",
}  # where the module has another name

Requires = Callable[[str], list[str] | None]  # the requirements of an installed project, as importlib.metadata has them


def require(*modules: str) -> None:
    """Raises ModuleNotFoundError for the first of these modules that is not installed; imports none of them."""
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def remedy(error: ModuleNotFoundError, requires: Requires = metadata.requires) -> str | None:
    """What to install, in words; None if the missing module is none that the project asks for."""
    module = (error.name or "").partition(".")[0]
    found = list(_extras(module, requires))
    if not found:
        return None
    if "" in found:
        return f"this command needs {module}, which is not installed: pip install -e ."
    return f"this command needs the extra \"{found[0]}\" ({module} is not installed): pip install -e '.[{found[0]}]'"


def _extras(module: str, requires: Requires) -> Iterator[str]:
    """The extras that install `module`, in their order in pyproject.toml; "" stands for every installation."""
    wanted = DISTRIBUTIONS.get(module, module).replace("_", "-").lower()
    try:
        requirements = requires(PROJECT) or []
    except metadata.PackageNotFoundError:  # run from a checkout that was not installed
        yield from [] if (ROOT / module).exists() else [USUAL]
        return
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement)[0].replace("_", "-").lower()
        if name == wanted or name.startswith(f"{wanted}-"):  # arro3-core is imported as arro3.core
            extra = re.search(r"""extra == ["'](.+?)["']""", requirement)
            yield extra[1] if extra else ""
