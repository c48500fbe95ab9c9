import asyncio
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from statemachine.local.functions_api import PAGE, FunctionsApi
from statemachine.local.settings import FUNCTIONS


def test_its_routes_leave_invocations_to_the_invoke_api() -> None:
    app = web.Application()
    FunctionsApi(FUNCTIONS).add_to(app)
    resources = {resource.canonical for resource in app.router.resources()}
    assert resources == {
        "/2015-03-31/functions",
        "/2015-03-31/functions/",
        "/2015-03-31/functions/{name}",
        "/2015-03-31/functions/{name}/configuration",
        "/2019-09-30/functions/{name}/concurrency",
        "/2016-08-19/account-settings",
        "/2016-08-19/account-settings/",
    }


@pytest.mark.parametrize("most", ["0", "10001", "x", "-1"])
def test_a_page_of_no_possible_size_is_refused(most: str) -> None:
    request = make_mocked_request("GET", f"/2015-03-31/functions/?MaxItems={most}")
    answer = asyncio.run(FunctionsApi(FUNCTIONS).list_functions(request))
    assert (answer.status, answer.headers["X-Amzn-ErrorType"]) == (400, "InvalidParameterValueException")


def test_a_page_has_at_most_as_many_functions_as_lambda_answers() -> None:
    functions = {f"f{number:03}": FUNCTIONS["rank"] for number in range(PAGE + 1)}
    request = make_mocked_request("GET", "/2015-03-31/functions/?MaxItems=1000")
    answer = json.loads(asyncio.run(FunctionsApi(functions).list_functions(request)).text or "")
    assert (len(answer["Functions"]), answer["NextMarker"]) == (PAGE, f"f{PAGE:03}")
