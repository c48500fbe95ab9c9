"""One deployment: checks, images, what changes and what it costs, the question, and the way there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

from botocore.exceptions import ClientError

from scripts.stack import images, template
from scripts.stack.account import DENIED, Account, AccountError, code_of
from scripts.stack.bucket import check_bucket, kept_buckets
from scripts.stack.change_set import STILLBORN, ChangeSet, Sleep, Stack
from scripts.stack.changes import described, losses
from scripts.stack.costs import cost_lines
from scripts.stack.images import PushedImage, Recipe
from scripts.stack.template import ParameterSpec

UNRESERVED = 100  # concurrent executions that AWS keeps for functions without a reserve
IMAGE_GB = {"LambdaImage": 0.30, "RendezvousImage": 0.05}  # of those that are not in ECR yet, about
NOT_YET = "not-yet-pushed@sha256:" + "0" * 64  # in a change set that is only looked at


@dataclass(frozen=True)
class Wishes:
    """What the flags of `cosmicai deploy` say."""

    stack: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str] | None = None
    images: Mapping[str, str] = field(default_factory=dict)  # URIs of images that exist, by parameter
    slim: bool = False
    dry_run: bool = False
    yes: bool = False


@dataclass(frozen=True)
class _Plan:
    """What a change set is made of."""

    values: Mapping[str, str]  # parameters with new values, without the images
    kept: set[str]  # names of parameters that keep their values
    effective: Mapping[str, str]  # all parameters
    images: Mapping[str, PushedImage]  # by parameter
    waiting: Mapping[str, str]  # ids of images that are to be pushed, by parameter


@dataclass
class Deployment:
    """Brings the stack to what the checkout and the flags say."""

    account: Account
    wishes: Wishes
    say: Callable[[str], None]
    agree: Callable[[str], bool]  # asks the user
    sleep: Sleep
    docker: Callable[[], Any] = images.engine

    def __post_init__(self) -> None:
        client = self.account.client("cloudformation")
        self.stack = Stack(client, self.wishes.stack, self.sleep)
        self.repositories = Stack(client, f"{self.wishes.stack}-images", self.sleep)

    def run(self) -> bool:
        """Does it.

        Returns:
            Whether everything is now as it was wanted; False where the user did not agree.

        Raises:
            RunError: something is refused or failed. The message has the next step.
            UsageError: a flag is wrong.
        """
        self.say(f"account {self.account.number}, region {self.account.region}, as {self.account.caller}")
        self.stack.check_idle()
        self.repositories.check_idle()
        plan = self._plan()
        if self.stack.status() in STILLBORN:
            if self.wishes.dry_run:
                raise AccountError(f"the stack {self.stack.name} could not be made; without --dry-run it is removed")
            self.stack.clear_stillborn(self.say)
        with self._proposal(plan) as proposed:
            if not proposed.changes:
                self.say(f"no changes: the stack {self.stack.name} is as it should be")
                return True
            self._show(proposed, plan)
            if self.wishes.dry_run:
                return True
            if not self.wishes.yes and not self.agree("Go on?"):
                self.say("nothing was changed")
                return False
            if not plan.waiting:
                return self._execute(proposed)
        with self._proposal(replace(plan, images={**plan.images, **self._push(plan.waiting)})) as final:
            return self._execute(final)

    def _execute(self, proposed: ChangeSet) -> bool:
        if proposed.changes:
            self.stack.execute(proposed, self.say)
        self.say(f"the stack {self.stack.name} is up; cosmicai deploy --status shows what it has")
        return True

    def _proposal(self, plan: _Plan) -> Any:
        values = {**plan.values, **{name: image.uri for name, image in plan.images.items()}}
        for name in plan.waiting.keys() - plan.images.keys():
            values[name] = NOT_YET
        text = template.body(template.stack_template())
        return self.stack.proposal(text, values, plan.kept - values.keys(), self.wishes.tags)

    def _plan(self) -> _Plan:
        specs = template.parameters(template.stack_template())
        template.check_parameters(self.wishes.parameters, specs)
        values = {**self.wishes.parameters, "Version": metadata.version("cosmicai")}
        exists = self.stack.status() not in (None, *STILLBORN)
        before = self.stack.parameters() if exists else {}
        kept = before.keys() & specs.keys() - values.keys()
        effective = {**_defaults(specs), **before, **values}
        self._check_quota(int(effective["ReservedConcurrency"]))
        s3 = self.account.client("s3")
        if bucket := effective["ExistingBucket"]:
            check_bucket(s3, bucket, self.account.region)
        elif not exists:
            for name in kept_buckets(s3, self.stack.name):
                self.say(f"note: {name} is there from an earlier stack; --parameter ExistingBucket={name} takes it")
        there, waiting = self._images(effective["Architecture"], before)
        return _Plan(values, set(kept), effective, there, waiting)

    def _check_quota(self, reserved: int) -> None:
        try:
            limits = self.account.client("lambda").get_account_settings()["AccountLimit"]
        except ClientError as error:
            if code_of(error) not in DENIED:
                raise
            self.say("how many functions the account runs at a time is unknown: lambda:GetAccountSettings is denied")
            return
        concurrent = int(limits["ConcurrentExecutions"])
        self.say(f"the account runs {concurrent:,} functions at a time; ranks beyond that wait")
        if reserved > max(0, concurrent - UNRESERVED):
            raise AccountError(
                f"ReservedConcurrency is {reserved}, and the account has {concurrent} concurrent executions, of which "
                f"AWS keeps {UNRESERVED} unreserved: give less, or ask for more in Service Quotas"
            )

    def _images(self, architecture: str, before: Mapping[str, str]) -> tuple[dict[str, PushedImage], dict[str, str]]:
        """The images that are in ECR, and the ids of those that were built and are not, both by parameter."""
        there: dict[str, PushedImage] = {}
        waiting: dict[str, str] = {}
        for parameter, recipe in self._recipes().items():
            if named := self.wishes.images.get(parameter):
                there[parameter] = images.look_up(self.account, named, _flag(parameter))
            elif self.wishes.dry_run:
                self.say(f"the image {recipe.name} is not built for a dry run")
                if parameter not in before:
                    waiting[parameter] = ""
            else:
                self.say(f"building the image {recipe.name} for {architecture}")
                image_id = images.build(self.docker(), recipe, architecture, self.say)
                repository = f"{self.stack.name}/{recipe.name}"
                found = images.in_ecr(self.account, self.account.number, repository, tag=images.tag_of(image_id))
                if found is None:
                    waiting[parameter] = image_id
                else:
                    there[parameter] = found
        return there, waiting

    def _recipes(self) -> dict[str, Recipe]:
        return {
            "LambdaImage": images.SLIM if self.wishes.slim else images.LAMBDA,
            "RendezvousImage": images.RENDEZVOUS,
        }

    def _push(self, waiting: Mapping[str, str]) -> dict[str, PushedImage]:
        """Makes the repositories, if they are not there, and pushes the images."""
        self.repositories.clear_stillborn(self.say)
        body = template.body(template.images_template())
        values = {"Prefix": self.stack.name, "KmsKeyArn": self.wishes.parameters.get("KmsKeyArn", "")}
        if self.repositories.status() is not None and not values["KmsKeyArn"]:
            del values["KmsKeyArn"]
        kept = {"KmsKeyArn"} - values.keys()
        with self.repositories.proposal(body, values, kept, self.wishes.tags) as proposed:
            if proposed.changes:
                self.repositories.execute(proposed, self.say)
        outputs = self.repositories.outputs()
        login = images.credentials(self.account.client("ecr"))
        pushed = {}
        for parameter, image_id in waiting.items():
            repository = outputs[parameter.replace("Image", "RepositoryUri")]
            self.say(f"pushing to {repository}")
            uri = images.push(self.docker(), image_id, repository, images.tag_of(image_id), login)
            pushed[parameter] = images.look_up(self.account, uri, _flag(parameter))
        return pushed

    def _show(self, proposed: ChangeSet, plan: _Plan) -> None:
        self.say(f"what changes in the stack {self.stack.name}:")
        for line in described(proposed.changes):
            self.say(f"  {line}")
        for line in losses(proposed.changes):
            self.say(f"warning: {line}")
        size = sum(plan.images[name].gb if name in plan.images else gb for name, gb in IMAGE_GB.items())
        for line in cost_lines(plan.effective, size):
            self.say(line)
        self.say(
            "The key of the rendezvous server is in the environment of the rank function. Who may call "
            "lambda:GetFunctionConfiguration can read it, and could join groups by it. It opens no data."
        )


def _defaults(specs: Mapping[str, ParameterSpec]) -> dict[str, str]:
    return {name: spec.default for name, spec in specs.items() if spec.default is not None}


def _flag(parameter: str) -> str:
    return {"LambdaImage": "--image", "RendezvousImage": "--rendezvous-image"}[parameter]
