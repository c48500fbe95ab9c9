from aiohttp import web

from statemachine.local.functions_api import FunctionsApi
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
