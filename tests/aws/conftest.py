import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.cli import main
from tests.aws.tools import REGION, Emulator, emulator

_numbers = itertools.count(300_000_000_001)
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(scope="session")
def _emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulator(tmp_path_factory.mktemp("ministack") / "log") as running:
        yield running


@dataclass
class AwsAccount:
    """An account of the emulator, `cosmicai` in it, and two images in its ECR."""

    emulator: Emulator
    number: str
    capsys: pytest.CaptureFixture[str]

    def client(self, service: str) -> Any:
        return self.emulator.client(self.number, service)

    def cosmicai(self, *arguments: str) -> tuple[int, str, str]:
        """Its status, output and error output."""
        self.capsys.readouterr()
        status = main([*arguments])
        said = self.capsys.readouterr()
        return status, said.out, said.err

    def deploy(self, *arguments: str) -> tuple[int, str, str]:
        """Deploys without building. The emulator knows no IPv6 blocks of a VPC."""
        return self.cosmicai("deploy", *self.images, "--parameter", "Ipv6=false", *arguments)

    @property
    def images(self) -> list[str]:
        return ["--image", self.image("lambda"), "--rendezvous-image", self.image("rendezvous")]

    def image(self, name: str, tag: str = "v1") -> str:
        return f"{self.number}.dkr.ecr.{REGION}.amazonaws.com/mine/{name}:{tag}"

    def put_image(self, name: str, media_type: str = MANIFEST, tag: str = "v1") -> str:
        """Puts an image into a repository of ECR, and returns its digest."""
        entry = {"size": 2, "digest": f"sha256:{'1' * 64}"}
        if media_type == INDEX:
            content: dict[str, Any] = {"manifests": [{"mediaType": MANIFEST, **entry}]}
        else:
            config = {"mediaType": "application/vnd.docker.container.image.v1+json", **entry}
            content = {"config": config, "layers": []}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, **content})
        put = self.client("ecr").put_image(
            repositoryName=name, imageManifest=manifest, imageManifestMediaType=media_type, imageTag=tag
        )
        return str(put["image"]["imageId"]["imageDigest"])


@pytest.fixture
def account(
    _emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> AwsAccount:
    """A new account of the emulator, which the environment names."""
    made = AwsAccount(_emulator, str(next(_numbers)), capsys)
    for name, value in _emulator.environ(made.number).items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("lambda", "rendezvous"):
        made.client("ecr").create_repository(repositoryName=f"mine/{name}")
        made.put_image(f"mine/{name}")
    return made
