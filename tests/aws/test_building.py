"""A deployment that builds its images, with an engine that answers as Docker's and an ECR that keeps what it pushes."""

import time
from typing import Any

from scripts.stack.account import Account
from scripts.stack.deployment import Deployment, Wishes
from tests.aws.conftest import MANIFEST, AwsAccount


class PretendedEngine:
    """Builds an image of the given id, and pushes a manifest of it into the emulator's ECR."""

    def __init__(self, account: AwsAccount, builds: str) -> None:
        self.api, self.account, self.builds = self, account, builds
        self.pushed: list[str] = []

    def build(self, *, dockerfile: str, **_: Any) -> list[dict[str, Any]]:
        return [{"stream": "Step 1/1 : FROM scratch"}, {"aux": {"ID": f"sha256:{self.builds * 32}"}}]

    def tag(self, *_: str) -> None:
        pass

    def push(self, repository: str, tag: str, auth_config: dict[str, str], **_: Any) -> list[dict[str, Any]]:
        assert auth_config["username"] == "AWS"
        name = repository.partition("/")[2]
        digest = self.account.put_image(name, MANIFEST, tag)
        self.pushed.append(name)
        return [{"aux": {"Digest": digest}}]

    def inspect_distribution(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"Descriptor": {"mediaType": MANIFEST}}


def deploy(
    account: AwsAccount, engine: PretendedEngine, *, agreed: bool = True, **wishes: Any
) -> tuple[bool, list[str]]:
    said: list[str] = []
    given = Wishes("cosmicai", {"Ipv6": "false"}, **wishes)
    opened = Account.open(None, None)
    deployment = Deployment(opened, given, said.append, lambda _: agreed, time.sleep, lambda: engine)
    return deployment.run(), said


def image_uri(account: AwsAccount) -> str:
    return str(account.client("lambda").get_function(FunctionName="cosmicai-rank")["Code"]["ImageUri"])


def test_images_are_built_pushed_once_and_named_by_digest(account: AwsAccount):
    engine = PretendedEngine(account, "ab")
    done, said = deploy(account, engine)
    assert done
    assert "made     LambdaRepository" in "\n".join(said)
    assert sorted(engine.pushed) == ["cosmicai/lambda", "cosmicai/rendezvous"]
    first = image_uri(account)
    assert first.startswith(f"{account.number}.dkr.ecr.us-east-1.amazonaws.com/cosmicai/lambda@sha256:")

    done, said = deploy(account, engine)
    assert done
    assert len(engine.pushed) == 2
    assert said[-1].startswith("no changes")

    status, said_at_end, _ = account.cosmicai("destroy", "--yes", "--with-data")
    assert status == 0
    assert "LambdaRepository" in said_at_end
    names = [one["repositoryName"] for one in account.client("ecr").describe_repositories()["repositories"]]
    assert sorted(names) == ["mine/lambda", "mine/rendezvous"]


def test_who_does_not_agree_pays_for_nothing(account: AwsAccount):
    engine = PretendedEngine(account, "ab")
    done, said = deploy(account, engine, agreed=False)
    assert not done
    assert said[-1] == "nothing was changed"
    assert engine.pushed == []
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []


def test_a_dry_run_builds_nothing(account: AwsAccount):
    class NoEngine(PretendedEngine):
        def build(self, **_: Any) -> list[dict[str, Any]]:
            raise AssertionError

    done, said = deploy(account, NoEngine(account, "ab"), dry_run=True)
    assert done
    assert "the image lambda is not built for a dry run" in said
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []
