"""What is in the images, file by file: nothing that they do not need, and nothing that helps an intruder."""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

import docker
import pytest

MB = 10**6
SIZES = {  # at most
    "cosmicai-lambda:full": 780 * MB,
    "cosmicai-lambda:slim": 300 * MB,
    "cosmicai-lambda:onnx": 300 * MB,
    "cosmicai-rendezvous": 160 * MB,
    "cosmicai-local": 450 * MB,
}
WRITABLE = {"tmp", "var/tmp", "run/lock", "dev/shm"}  # to everybody, with the sticky bit
OWNED = {"run/rendezvous"}  # what the process itself may write to: where compose mounts the volume of the server's key
TOOLS = r"(.*-)?(gcc|g\+\+|cc|c\+\+|ld|as|make|strip|pip3?(\.\d+)?|git|curl|wget|gdb)"
CACHES = r"(root|tmp|home/.*)/\.cache/.+|var/lib/apt/lists/.+|var/cache/apt/.+|tmp/.+|root/\.(?!bashrc|profile).+"
SECRETS = r"(.*/)?(\.git|\.env|\.aws|\.ssh|\.netrc|\.pypirc|\.docker|id_[a-z0-9]+|.*\.key)"
# Of the project itself, each image has what it runs.
OWN = {
    "cosmicai-lambda:full": {"lambda_image", "rendezvous_server"},
    "cosmicai-lambda:slim": {"lambda_image", "rendezvous_server"},
    "cosmicai-lambda:onnx": {"lambda_image", "rendezvous_server"},
    "cosmicai-rendezvous": {"rendezvous_server"},
    "cosmicai-local": {"lambda_image", "rendezvous_server", "scripts", "statemachine"},
}
HOME = {"cosmicai-rendezvous": "srv", "cosmicai-local": "srv"}


@dataclass(frozen=True)
class Content:
    image: str
    size: int
    config: dict
    entries: list[tarfile.TarInfo]

    def named(self, pattern: str) -> list[str]:
        return [entry.name for entry in self.entries if re.fullmatch(pattern, entry.name)]


@pytest.fixture(scope="module", params=SIZES)
def content(request: pytest.FixtureRequest, images: None) -> Content:
    client = docker.from_env()
    image = client.images.get(request.param)
    container = client.containers.create(image)
    try:
        with tarfile.open(mode="r|", fileobj=_Chunks(container.export(chunk_size=MB))) as exported:
            entries = list(exported)
    finally:
        container.remove()
    return Content(request.param, image.attrs["Size"], image.attrs["Config"], entries)


class _Chunks:
    """An iterator of bytes as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int) -> bytes:
        parts = [self._rest]
        while sum(map(len, parts)) < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]


def test_it_is_small(content: Content):
    assert content.size <= SIZES[content.image]


def test_it_runs_as_nobody_in_particular(content: Content):
    assert content.config["User"] == "993:990"


def test_nobody_else_can_write_and_no_file_lends_rights(content: Content):
    plain = [entry for entry in content.entries if not entry.issym() and not entry.islnk() and not entry.isdev()]
    writable = {entry.name for entry in plain if entry.mode & 0o002}
    assert writable <= WRITABLE, writable - WRITABLE
    assert not [entry.name for entry in plain if entry.isfile() and entry.mode & 0o6000]
    assert {entry.name for entry in plain if entry.uid == 993} <= OWNED


def test_there_are_no_tools_for_building(content: Content):
    assert not content.named(rf"(usr/)?(local/)?s?bin/{TOOLS}|opt/venv/bin/{TOOLS}")
    assert not content.named(r"(usr|opt)/.*/(site|dist)-packages/(pip|setuptools|wheel|pkg_resources)(/.*)?")


def test_there_are_no_caches_and_no_secrets(content: Content):
    assert not content.named(CACHES)
    assert not content.named(SECRETS)
    assert not [variable for variable in content.config["Env"] if re.match(r".*(KEY|SECRET|TOKEN|PASSWORD)", variable)]


def test_of_the_project_it_has_what_it_runs(content: Content):
    home = HOME.get(content.image, "var/task")
    found = {
        entry.name.removeprefix(f"{home}/").partition("/")[0]
        for entry in content.entries
        if entry.name.startswith(f"{home}/")
    }
    assert found - {""} == OWN[content.image]
    assert not content.named(rf"{home}/.*(tests?/.*|Dockerfile|\.so\.tmp|\.partial.*)")
    if home == "var/task":
        assert {name.removeprefix(f"{home}/") for name in content.named(rf"{home}/rendezvous_server/.*\.py")} == {
            "rendezvous_server/__init__.py",
            *(f"rendezvous_server/protocol/{name}.py" for name in ("__init__", "client", "codec", "key", "messages")),
        }
        weights = content.named(rf"{home}/.*\.(safetensors|weights)")
        target = content.image.partition(":")[2]
        expected = {"full": ["safetensors", "weights"], "slim": ["weights"], "onnx": []}[
            target
        ]  # what it has is the user's
        assert sorted(name.rpartition(".")[2] for name in weights) == expected
        assert bool(content.named(r"opt/.*/onnxruntime/.*\.so")) is (target == "onnx")


def test_what_a_start_imports_is_compiled(content: Content):
    """A read-only image cannot keep what it compiles: each start would do it anew."""
    compiled = {entry.name for entry in content.entries if entry.name.endswith(".cpython-311.pyc")}
    places = {"cosmicai-rendezvous": ["rendezvous_server/server"]}.get(content.image, ["lambda_image/errors"])
    for place in places:
        folder, _, name = place.rpartition("/")
        assert f"{HOME.get(content.image, 'var/task')}/{folder}/__pycache__/{name}.cpython-311.pyc" in compiled
