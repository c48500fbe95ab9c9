"""What clients ask Lambda beside invoking functions: which there are, how each is set up, how many run at a time."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from statemachine.local.dispatcher import new_request_id
from statemachine.local.function_logs import group_name_of
from statemachine.local.invoke_api import api_error
from statemachine.local.refusals import Refusals
from statemachine.local.settings import FunctionSettings, function_arn, function_name

LIST_PATH = "/2015-03-31/functions"
GET_PATH = "/2015-03-31/functions/{name}"
PAGE, LARGEST_PAGE = 50, 10_000  # Lambda answers 50 functions at most, however many a client asks for
CONFIGURATION_PATH = "/2015-03-31/functions/{name}/configuration"
CONCURRENCY_PATH = "/2019-09-30/functions/{name}/concurrency"
ACCOUNT_PATH = "/2016-08-19/account-settings"
CONCURRENCY = 1000  # of an account, unless it has asked for more; and of this endpoint, unless told otherwise


class FunctionsApi:
    """Answers ListFunctions, GetFunction, GetFunctionConfiguration, GetFunctionConcurrency and GetAccountSettings."""

    def __init__(self, functions: Mapping[str, FunctionSettings], refusals: Refusals | None = None) -> None:
        self._functions = functions
        self._refusals = refusals or Refusals()
        self._since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")

    def add_to(self, app: web.Application) -> None:
        """Adds the routes to an application."""
        for path in (LIST_PATH, f"{LIST_PATH}/"):
            app.router.add_get(path, self.list_functions)
        app.router.add_get(GET_PATH, self.get_function)
        app.router.add_get(CONFIGURATION_PATH, self.get_configuration)
        app.router.add_get(CONCURRENCY_PATH, self.get_concurrency)
        for path in (ACCOUNT_PATH, f"{ACCOUNT_PATH}/"):
            app.router.add_get(path, self.get_account_settings)

    async def list_functions(self, request: web.Request) -> web.Response:
        """Handles GET /2015-03-31/functions/."""
        marker, most = request.query.get("Marker", ""), request.query.get("MaxItems", "")
        if most and not (most.isdecimal() and 0 < int(most) <= LARGEST_PAGE):
            message = f"MaxItems must be a number from 1 to {LARGEST_PAGE}"
            return api_error(new_request_id(), 400, "InvalidParameterValueException", message)
        names = [name for name in sorted(self._functions) if name >= marker]  # a marker is the next function's name
        page = names[: min(int(most or PAGE), PAGE)]
        following = names[len(page)] if len(page) < len(names) else None
        found = [self._configuration(name, self._functions[name]) for name in page]
        return web.json_response({"Functions": found, "NextMarker": following})

    async def get_function(self, request: web.Request) -> web.Response:
        """Handles GET /2015-03-31/functions/NAME."""
        name = function_name(request.match_info["name"])
        if (function := self._functions.get(name)) is None:
            return _missing(name)
        code = {"RepositoryType": "ECR", "ImageUri": "cosmicai-lambda:local"}
        return web.json_response({"Configuration": self._configuration(name, function), "Code": code, "Tags": {}})

    async def get_configuration(self, request: web.Request) -> web.Response:
        """Handles GET /2015-03-31/functions/NAME/configuration."""
        name = function_name(request.match_info["name"])
        function = self._functions.get(name)
        return _missing(name) if function is None else web.json_response(self._configuration(name, function))

    async def get_concurrency(self, request: web.Request) -> web.Response:
        """Handles GET /2019-09-30/functions/NAME/concurrency. No function here has a reserve of its own."""
        name = function_name(request.match_info["name"])
        return _missing(name) if name not in self._functions else web.json_response({})

    async def get_account_settings(self, request: web.Request) -> web.Response:
        """Handles GET /2016-08-19/account-settings/."""
        concurrency = CONCURRENCY if self._refusals.concurrency is None else self._refusals.concurrency
        limit = {"ConcurrentExecutions": concurrency, "UnreservedConcurrentExecutions": concurrency}
        return web.json_response({"AccountLimit": limit, "AccountUsage": {"FunctionCount": len(self._functions)}})

    def _configuration(self, name: str, function: FunctionSettings) -> dict[str, Any]:
        return {
            "FunctionName": name,
            "FunctionArn": function_arn(name),
            "Role": "arn:aws:iam::123456789012:role/local",
            "PackageType": "Image",
            "ImageConfigResponse": {"ImageConfig": {"Command": [function.handler]}},
            "Timeout": max(1, round(function.timeout_s)),
            "MemorySize": function.memory_mb,
            "Version": "$LATEST",
            "LastModified": self._since,
            "State": self._refusals.state(name, asyncio.get_running_loop().time()),
            "LastUpdateStatus": "Successful",
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": group_name_of(name)},
        }


def _missing(name: str) -> web.Response:
    return api_error(new_request_id(), 404, "ResourceNotFoundException", f"Function not found: {function_arn(name)}")
