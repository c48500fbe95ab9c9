"""The images of a stack: built for one platform, pushed to ECR as plain manifests, and named by their digests.

Lambda refuses image indexes, which BuildKit makes by default even for one platform, since it adds a provenance. So the
engine's classic builder is asked, and what arrived in the registry is looked at.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from lambda_image.errors import RunError, UsageError
from scripts.stack.account import Account, code_of

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
PLAIN = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
MAX_LAMBDA_GB = 10.0
GB = 10**9
TAG_LENGTH = 16  # of the 64 digits that an image's id has
REFERENCE = re.compile(
    r"(?P<registry>(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?)/"
    r"(?P<repository>[a-z0-9._/-]+)(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w.-]{1,128}))"
)


class ImageError(RunError):
    """An image cannot be built or pushed, or Lambda would refuse it."""


@dataclass(frozen=True)
class Recipe:
    """How an image is built. The target None is the one that the Dockerfile makes by default."""

    name: str  # of its repository, behind the stack's name
    dockerfile: str
    target: str | None = None


LAMBDA = Recipe("lambda", "lambda_image/Dockerfile")
SLIM = Recipe("lambda", "lambda_image/Dockerfile", "slim")
RENDEZVOUS = Recipe("rendezvous", "rendezvous_server/Dockerfile")


@dataclass(frozen=True)
class PushedImage:
    """An image in a registry."""

    uri: str  # by digest
    gb: float  # compressed


def engine() -> Any:
    """Connects to the Docker engine.

    Raises:
        ImageError: none answers.
    """
    import docker  # late: only who builds images needs the extra

    try:
        client: Any = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        raise ImageError(
            f"no Docker engine answers ({_one_line(error)}): start one, or give --image and --rendezvous-image"
        ) from error
    return client


def build(client: Any, recipe: Recipe, architecture: str, say: Callable[[str], None], folder: Path = ROOT) -> str:
    """Builds an image, from this checkout unless another folder is given.

    Args:
        client: of the Docker engine.
        recipe: which one.
        architecture: x86_64 or arm64.
        say: shows a line.
        folder: what is sent to the engine.

    Returns:
        The image's id, sha256:...

    Raises:
        ImageError: a step of the build failed.
    """
    answers = client.api.build(
        path=str(folder),
        dockerfile=recipe.dockerfile,
        target=recipe.target or "",
        platform=PLATFORMS[architecture],
        rm=True,
        decode=True,
    )
    found = ""
    for answer in _checked(answers, f"the image {recipe.name} cannot be built"):
        text = str(answer.get("stream", "")).strip()
        if text.startswith("Step "):
            say(f"  {_one_line(text)[:110]}")
        found = str(answer.get("aux", {}).get("ID", found))
    if not found:
        raise ImageError(f"the engine built the image {recipe.name} and did not say what its id is")
    return found


def push(client: Any, image_id: str, repository: str, tag: str, auth: Mapping[str, str] | None) -> str:
    """Pushes an image.

    Args:
        client: of the Docker engine.
        image_id: of the image.
        repository: where to, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/cosmicai/lambda.
        tag: its tag there.
        auth: username and password; None for a registry that asks for none.

    Returns:
        REPOSITORY@DIGEST.

    Raises:
        ImageError: the registry refuses it, or what arrived is an image index.
    """
    client.api.tag(image_id, repository, tag)
    answers = client.api.push(repository, tag=tag, auth_config=dict(auth) if auth else None, stream=True, decode=True)
    digest = ""
    for answer in _checked(answers, f"{repository} does not take the image"):
        digest = str(answer.get("aux", {}).get("Digest", digest))
    if not digest:
        raise ImageError(f"{repository} took the image and did not say what its digest is")
    arrived = client.api.inspect_distribution(f"{repository}@{digest}", auth_config=dict(auth) if auth else None)
    check_plain(arrived["Descriptor"]["mediaType"], f"{repository}@{digest}")
    return f"{repository}@{digest}"


def check_plain(media_type: str, image: str) -> None:
    """Makes sure that Lambda takes an image's manifest.

    Raises:
        ImageError: it is an index, or something else.
    """
    if media_type in INDEXES:
        raise ImageError(
            f"{image} is an index of images, which Lambda refuses: build it with docker build --provenance=false for "
            "one platform, or leave the building to cosmicai deploy"
        )
    if media_type not in PLAIN:
        raise ImageError(f"{image} is a {media_type}, which Lambda does not take")


def tag_of(image_id: str) -> str:
    """Makes the tag under which an image is pushed. An image that was not changed has the same one again."""
    return image_id.removeprefix("sha256:")[:TAG_LENGTH]


def credentials(ecr: Any) -> dict[str, str]:
    """Asks ECR for a name and a password, for the engine."""
    [given] = ecr.get_authorization_token()["authorizationData"]
    name, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    return {"username": name, "password": password}


def look_up(account: Account, image: str, flag: str) -> PushedImage:
    """Finds an image that a user names.

    Args:
        account: who asks.
        image: its URI in ECR, by tag or by digest.
        flag: which flag named it.

    Raises:
        UsageError: it is none of ECR in this region.
        ImageError: it is not there, or Lambda would refuse it.
    """
    named = REFERENCE.fullmatch(image)
    if not named:
        form = f"{account.number}.dkr.ecr.{account.region}.amazonaws.com/NAME:TAG"
        raise UsageError(f"{flag} is {image}; allowed: an image in ECR, since Lambda takes no others, as {form}")
    if named["region"] != account.region:
        raise UsageError(f"{flag} is in {named['region']}, and Lambda takes images of its own region, {account.region}")
    found = in_ecr(account, named["account"], named["repository"], tag=named["tag"], digest=named["digest"])
    if found is None:
        raise ImageError(f"{flag} {image} is not in ECR: push it, or leave the flag out to build it")
    return found


def in_ecr(
    account: Account, owner: str, repository: str, *, tag: str | None = None, digest: str | None = None
) -> PushedImage | None:
    """Looks an image up in ECR, and makes sure that Lambda takes it; None where there is none.

    Raises:
        ImageError: it is an index, or too large.
    """
    ecr = account.client("ecr")
    wanted = {"imageDigest": digest} if digest else {"imageTag": tag}
    try:
        answer = ecr.batch_get_image(
            registryId=owner,
            repositoryName=repository,
            imageIds=[wanted],
            acceptedMediaTypes=[*PLAIN, *INDEXES],
        )
        if not answer["images"]:
            return None
        [described] = ecr.describe_images(registryId=owner, repositoryName=repository, imageIds=[wanted])[
            "imageDetails"
        ]
    except ClientError as error:
        if code_of(error) in ("RepositoryNotFoundException", "ImageNotFoundException"):
            return None
        raise
    found = answer["images"][0]
    domain = "amazonaws.com.cn" if account.region.startswith("cn-") else "amazonaws.com"
    uri = f"{owner}.dkr.ecr.{account.region}.{domain}/{repository}@{found['imageId']['imageDigest']}"
    check_plain(found["imageManifestMediaType"], uri)
    gb = described.get("imageSizeInBytes", 0) / GB
    if gb > MAX_LAMBDA_GB:
        raise ImageError(f"{uri} has {gb:.1f} GB, and Lambda takes {MAX_LAMBDA_GB:.0f}")
    return PushedImage(uri, gb)


def _checked(answers: Iterable[Mapping[str, Any]], problem: str) -> Iterable[Mapping[str, Any]]:
    for answer in answers:
        if "error" in answer:
            raise ImageError(f"{problem}: {_one_line(answer['error'])}")
        yield answer


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
