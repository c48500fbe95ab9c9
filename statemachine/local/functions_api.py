"""What clients ask Lambda of its functions beside invoking them: which there are, and how each is set up."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from statemachine.local.dispatcher import new_request_id
from statemachine.local.function_logs import group_name_of
from statemachine.local.invoke_api import api_error
from statemachine.local.settings import FunctionSettings, function_arn, function_name

LIST_PATH = "/2015-03-31/functions"
GET_PATH = "/2015-03-31/functions/{name}"
CONFIGURATION_PATH = "/2015-03-31/functions/{name}/configuration"


class FunctionsApi:
    """Answers ListFunctions, GetFunction and GetFunctionConfiguration."""

    def __init__(self, functions: Mapping[str, FunctionSettings]) -> None:
        self._functions = functions
        self._since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")

    def add_to(self, app: web.Application) -> None:
        """Adds the routes to an application."""
        for path in (LIST_PATH, f"{LIST_PATH}/"):
            app.router.add_get(path, self.list_functions)
        app.router.add_get(GET_PATH, self.get_function)
        app.router.add_get(CONFIGURATION_PATH, self.get_configuration)

    async def list_functions(self, request: web.Request) -> web.Response:
        """Handles GET /2015-03-31/functions/."""
        found = [self._configuration(name, function) for name, function in sorted(self._functions.items())]
        return web.json_response({"Functions": found, "NextMarker": None})

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
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": group_name_of(name)},
        }


def _missing(name: str) -> web.Response:
    return api_error(new_request_id(), 404, "ResourceNotFoundException", f"Function not found: {function_arn(name)}")
