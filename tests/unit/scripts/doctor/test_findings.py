import pytest
from botocore.exceptions import NoCredentialsError

from lambda_image.errors import RunError
from scripts.doctor.findings import Finding, Findings, each
from tests.unit.scripts.stack.clients import refused


def test_findings_are_said_at_once_with_what_to_do():
    said: list[str] = []
    findings = Findings(said.append)
    findings.add(Finding("bucket", "ok", "there"))
    assert not findings.failed
    findings.add(Finding("quotas", "failed", "small", "ask"))
    assert findings.failed
    assert said == [
        "ok       bucket           there",
        "failed   quotas           small",
        "                          next: ask",
    ]
    assert findings.to_json()[1] == {"name": "quotas", "state": "failed", "what": "small", "next_step": "ask"}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (refused("AccessDenied", "HeadBucket", "not you"), "AWS denies HeadBucket: not you. Ask whoever looks after"),
        (refused("ExpiredToken"), "the credentials have expired: log in again"),
        (NoCredentialsError(), "Unable to locate credentials: set AWS_PROFILE"),
        (RunError("broken"), "broken"),
    ],
)
def test_what_is_refused_is_a_finding_and_the_rest_is_looked_at(error: Exception, told: str):
    findings = Findings(lambda _: None)
    with findings.looking_at("bucket"):
        raise error
    [finding] = findings.found
    assert (finding.name, finding.state) == ("bucket", "failed")
    assert told in finding.what


def test_a_mistake_of_ours_is_not_hidden():
    with pytest.raises(KeyError), Findings(lambda _: None).looking_at("bucket"):
        raise KeyError("x")


def test_nothing_to_say_is_that_all_is_fine():
    bad = Finding("versions", "note", "old")
    assert each([bad], "versions", "fine") == [bad]
    assert each([], "versions", "fine") == [Finding("versions", "ok", "fine")]
