import argparse

import pytest

from lambda_image.errors import UsageError
from scripts.place_flags import add_place, add_place_of_runs, check_name


def test_only_runs_may_take_place_at_another_endpoint(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    deploying, running = argparse.ArgumentParser(), argparse.ArgumentParser()
    add_place(deploying)
    add_place_of_runs(running)
    assert vars(deploying.parse_args([])) == {"stack": "cosmicai", "region": None, "profile": None}
    expected = {"stack": None, "region": None, "profile": None, "endpoint_url": "http://127.0.0.1:4566"}
    assert vars(running.parse_args([])) == expected


@pytest.mark.parametrize("name", ["Mine", "1st", "", "my_stack", "a" * 22])
def test_a_stack_that_nothing_could_be_named_after_is_refused(name: str):
    check_name("my-stack-2")
    with pytest.raises(UsageError, match=f"--stack is {name}; allowed: small letters"):
        check_name(name)
