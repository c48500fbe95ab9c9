"""How a run is followed, by a Step Functions that answers from a list and a clock that only sleeping moves."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from scripts.aws_endpoint import AwsEndpoint
from scripts.local_cloud import LocalCloud
from scripts.runs.following import LONGEST_PAUSE_S, SILENCE_S, Follower, StartedRun, ways_on
from scripts.runs.place import AWS_PAUSE_S, LOCAL_PAUSE_S, Place
from scripts.runs.run_progress import RunProgress

RUN = StartedRun("arn:aws:states:us-east-1:123456789012:execution:m:mine", "b", "results/mine")
THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "DescribeExecution")
EXPIRED = ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "old"}}, "DescribeExecution")
GONE = EndpointConnectionError(endpoint_url="https://states")


@dataclass
class Answers:
    """What Step Functions and the user do, one after another. An exception is raised."""

    answers: Iterator[Any]
    stopped: list[dict[str, str]] = field(default_factory=list)

    def describe_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803 - AWS's name
        assert executionArn == RUN.arn
        answer = next(self.answers)
        if isinstance(answer, BaseException):
            raise answer
        return {"status": answer}

    def stop_execution(self, **given: str) -> None:
        self.stopped.append(given)


class Story:
    """Follows a run through answers."""

    def __init__(self, answers: Iterator[Any] | Sequence[Any], local: bool = False, asked: Sequence[Any] | None = None):
        self.steps, self.slept, self.now, self.questions = Answers(iter(answers)), [], 0.0, 0
        self.out = io.StringIO()
        endpoint = AwsEndpoint("http://127.0.0.1:1") if local else None
        place = Place("the stack m", lambda service: self.steps, "us-east-1", "arn:m", "b", local=endpoint)
        self.replies = iter(asked or ())
        ask = self.ask if asked is not None else None
        progress = RunProgress(self.out, [])
        self.follower = Follower(place, RUN, progress, ask, sleep=self.sleep, clock=lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def ask(self, question: str) -> bool:
        self.questions += 1
        assert "Stop the run mine?" in question
        reply = next(self.replies)
        if isinstance(reply, BaseException):
            raise reply
        return bool(reply)

    @property
    def said(self) -> str:
        return self.out.getvalue()


def test_a_run_is_looked_at_ever_less_often():
    story = Story(["RUNNING"] * 400 + ["SUCCEEDED"])
    assert story.follower.follow() == {"status": "SUCCEEDED"}
    assert story.slept[0] == AWS_PAUSE_S
    assert story.slept == sorted(story.slept)
    assert story.slept[-1] == LONGEST_PAUSE_S


def test_on_this_machine_the_end_is_seen_at_once():
    story = Story(["RUNNING", "FAILED"], local=True)
    assert story.follower.follow() == {"status": "FAILED"}
    assert story.slept == [LOCAL_PAUSE_S]


@pytest.mark.parametrize("refusal", [THROTTLED, GONE])
def test_aws_that_is_busy_or_silent_for_a_while_ends_nothing(refusal: Exception):
    story = Story([refusal, refusal, "RUNNING", refusal, "SUCCEEDED"])
    assert story.follower.follow() == {"status": "SUCCEEDED"}
    assert story.said.count("too busy or does not answer") == 2


@pytest.mark.parametrize("refusal", [THROTTLED, GONE])
def test_aws_that_is_silent_for_minutes_ends_the_following_and_not_the_run(refusal: Exception):
    story = Story(iter(lambda: refusal, None))
    with pytest.raises(type(refusal)):
        story.follower.follow()
    assert SILENCE_S < story.now < 2 * SILENCE_S
    assert "the run mine goes on:\n  cosmicai watch mine\n  cosmicai results mine\n" in story.said


@pytest.mark.parametrize(("refusal", "local"), [(EXPIRED, False), (GONE, True)])
def test_what_does_not_pass_ends_the_following_at_once(refusal: Exception, local: bool):
    story = Story([refusal], local)
    with pytest.raises(type(refusal)):
        story.follower.follow()
    assert "cosmicai watch mine" in story.said


def test_of_a_local_endpoint_that_is_gone_nobody_says_that_its_runs_go_on():
    story = Story(["RUNNING", GONE], local=True)
    with pytest.raises(EndpointConnectionError):
        story.follower.follow()
    assert "the run mine goes on if the stack m still runs:\n  cosmicai watch mine\n" in story.said


def test_an_interrupt_where_nobody_can_be_asked_leaves_the_run_alone():
    story = Story(["RUNNING", KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        story.follower.follow()
    assert "cosmicai watch mine" in story.said
    assert not story.steps.stopped


def test_a_run_that_ends_with_the_command_is_not_said_to_go_on():
    story = Story(["RUNNING", KeyboardInterrupt()])
    cloud = LocalCloud("http://127.0.0.1:1", "127.0.0.1:2", {}, lambda event: None)
    story.follower.place = replace(story.follower.place, local=cloud)
    with pytest.raises(KeyboardInterrupt):
        story.follower.follow()
    assert story.said == ""


def test_at_an_interrupt_the_user_is_asked_and_yes_stops_the_run():
    story = Story(["RUNNING", KeyboardInterrupt(), "RUNNING", "ABORTED"], asked=[True])
    assert story.follower.follow() == {"status": "ABORTED"}
    [stopped] = story.steps.stopped
    assert stopped["executionArn"] == RUN.arn


def test_no_goes_on_and_a_later_interrupt_asks_again():
    story = Story(["RUNNING", KeyboardInterrupt(), "RUNNING", KeyboardInterrupt(), "SUCCEEDED"], asked=[False, False])
    assert story.follower.follow() == {"status": "SUCCEEDED"}
    assert story.questions == 2
    assert not story.steps.stopped


def test_a_second_interrupt_leaves():
    story = Story(["RUNNING", KeyboardInterrupt()], asked=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        story.follower.follow()
    assert "cosmicai watch mine" in story.said
    assert not story.steps.stopped


def test_the_ways_on_mean_the_same_place():
    place = Place("the stack m", lambda service: None, "eu-west-1", "arn:m", "b", flags=("--region", "eu-west-1"))
    assert "  cosmicai watch mine --region eu-west-1" in ways_on(place, "mine")
