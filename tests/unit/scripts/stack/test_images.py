import base64
from collections.abc import Iterable
from typing import Any

import pytest

from lambda_image.errors import UsageError
from scripts.stack.account import Account
from scripts.stack.images import (
    INDEXES,
    LAMBDA,
    PLAIN,
    RENDEZVOUS,
    ROOT,
    SLIM,
    ImageError,
    build,
    check_plain,
    credentials,
    look_up,
    push,
    tag_of,
)

IMAGE_ID = f"sha256:{'ab' * 32}"
DIGEST = f"sha256:{'cd' * 32}"


class AnsweringDocker:
    """A Docker engine that answers as it was told, and keeps what it was asked."""

    def __init__(self, answers: Iterable[dict[str, Any]], media_type: str = PLAIN[0]) -> None:
        self.api, self.answers, self.media_type = self, list(answers), media_type
        self.asked: list[tuple[str, Any]] = []

    def build(self, **given: Any) -> list[dict[str, Any]]:
        self.asked.append(("build", given))
        return self.answers

    def tag(self, *given: Any) -> None:
        self.asked.append(("tag", given))

    def push(self, repository: str, **given: Any) -> list[dict[str, Any]]:
        self.asked.append(("push", (repository, given)))
        return self.answers

    def inspect_distribution(self, image: str, auth_config: Any) -> dict[str, Any]:
        return {"Descriptor": {"mediaType": self.media_type, "digest": DIGEST}}


def test_an_image_is_built_for_one_platform_from_this_checkout():
    engine = AnsweringDocker([{"stream": "Step 1/2 : FROM x\n"}, {"stream": " ---> 1\n"}, {"aux": {"ID": IMAGE_ID}}])
    said: list[str] = []
    assert build(engine, SLIM, "arm64", said.append) == IMAGE_ID
    assert said == ["  Step 1/2 : FROM x"]
    [(_, given)] = engine.asked
    assert (given["platform"], given["target"], given["path"]) == ("linux/arm64", "slim", str(ROOT))


@pytest.mark.parametrize("recipe", [LAMBDA, SLIM, RENDEZVOUS])
def test_the_dockerfiles_are_there_and_have_the_targets(recipe: Any):
    text = (ROOT / recipe.dockerfile).read_text()
    assert recipe.target is None or f" AS {recipe.target}\n" in text


def test_a_step_that_fails_is_told_in_one_line():
    with pytest.raises(ImageError, match="the image lambda cannot be built: The command returned 1"):
        build(AnsweringDocker([{"error": "The command\nreturned 1"}]), LAMBDA, "x86_64", lambda _: None)
    with pytest.raises(ImageError, match="did not say"):
        build(AnsweringDocker([]), LAMBDA, "x86_64", lambda _: None)


def test_a_pushed_image_is_named_by_its_digest():
    engine = AnsweringDocker([{"status": "Pushed"}, {"aux": {"Tag": "t", "Digest": DIGEST, "Size": 1}}])
    assert push(engine, IMAGE_ID, "registry/name", "t", None) == f"registry/name@{DIGEST}"
    assert engine.asked[0] == ("tag", (IMAGE_ID, "registry/name", "t"))


def test_what_lambda_refuses_is_refused_before_it_is_deployed():
    answers = [{"aux": {"Digest": DIGEST}}]
    for index in INDEXES:
        with pytest.raises(ImageError, match="--provenance=false"):
            push(AnsweringDocker(answers, index), IMAGE_ID, "registry/name", "t", None)
    with pytest.raises(ImageError, match="text/html"):
        check_plain("text/html", "x")
    with pytest.raises(ImageError, match="does not take the image: denied"):
        push(AnsweringDocker([{"error": "denied"}]), IMAGE_ID, "registry/name", "t", None)


def test_an_image_that_was_not_changed_has_the_same_tag():
    assert tag_of(IMAGE_ID) == "abababababababab"


def test_ecrs_token_is_taken_apart():
    token = base64.b64encode(b"AWS:secret:with:colons").decode()

    class Ecr:
        def get_authorization_token(self) -> dict[str, Any]:
            return {"authorizationData": [{"authorizationToken": token}]}

    assert credentials(Ecr()) == {"username": "AWS", "password": "secret:with:colons"}


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("cosmicai-lambda:slim", r"--image is cosmicai-lambda:slim; allowed: an image in ECR"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a", "allowed"),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:1",
            "is in eu-west-1, and Lambda takes images of its own region",
        ),
    ],
)
def test_an_image_that_lambda_could_not_reach_is_a_wrong_flag(image: str, words: str):
    account = Account(session=None, region="us-east-1", number="123456789012", caller="x")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=words):
        look_up(account, image, "--image")
