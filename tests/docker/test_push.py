"""Images in a real registry, as `cosmicai deploy` builds and pushes them."""

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.stack.images import GB, MAX_LAMBDA_GB, PLAIN, Recipe, build, engine, push, tag_of

START_S = 20.0
CONFIGURATION = """
version: 0.1
log: {{level: info}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:0"}}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker's own registry on a free port of loopback."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not here: apt-get install docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    (folder / "config.yml").write_text(CONFIGURATION.format(folder=folder / "images"))
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=output, stderr=output)
    try:
        deadline, found = time.monotonic() + START_S, None
        while found is None and time.monotonic() < deadline and process.poll() is None:
            found = re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())
            time.sleep(0.05)
        assert found, log.read_text()
        yield found[1]
    finally:
        process.terminate()
        process.wait(10)


def manifest(uri: str) -> tuple[str, dict[str, Any]]:
    """The media type and the content of what REGISTRY/NAME@DIGEST names."""
    place, _, digest = uri.partition("@")
    host, _, name = place.partition("/")
    request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{digest}")
    for accepted in (*PLAIN, "application/vnd.oci.image.index.v1+json"):
        request.add_header("Accept", accepted)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return answer.headers["Content-Type"], json.load(answer)


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("image", ["cosmicai-lambda:full", "cosmicai-lambda:slim", "cosmicai-rendezvous"])
def test_the_images_arrive_as_plain_manifests_that_lambda_takes(image: str, registry: str):
    client = engine()
    image_id = client.images.get(image).id
    repository = f"{registry}/cosmicai/{image.replace(':', '-')}"
    uri = push(client, image_id, repository, tag_of(image_id), None)
    try:
        media_type, content = manifest(uri)
        assert media_type in PLAIN
        assert "manifests" not in content
        assert content["config"]["digest"] == image_id
        assert sum(layer["size"] for layer in content["layers"]) < MAX_LAMBDA_GB * GB
        assert push(client, image_id, repository, tag_of(image_id), None) == uri  # what is there stays what it is
    finally:
        client.images.remove(f"{repository}:{tag_of(image_id)}")


@pytest.mark.usefixtures("images")
def test_what_the_engine_builds_for_it_is_no_index_either(registry: str, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY greeting /\nCMD ["/greeting"]\n')
    (tmp_path / "greeting").write_text("hello\n")
    client, said = engine(), list[str]()
    image_id = build(client, Recipe("try", "Dockerfile"), "x86_64", said.append, tmp_path)
    try:
        assert said[0] == "  Step 1/3 : FROM scratch"
        media_type, content = manifest(push(client, image_id, f"{registry}/try", tag_of(image_id), None))
        assert media_type in PLAIN
        assert content["config"]["digest"] == image_id
        assert client.images.get(image_id).attrs["Architecture"] == "amd64"
    finally:
        client.images.remove(image_id, force=True)
