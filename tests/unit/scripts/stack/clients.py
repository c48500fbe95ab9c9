"""Clients of AWS that answer what a test gives them."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws_endpoint import AwsEndpoint
from scripts.runs.place import Place

REGION = "eu-west-1"
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:stars"


def refused(code: str, operation: str = "Operation", message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class Client:
    """A client whose operations are functions. What is asked of it is kept, and pages are one."""

    def __init__(self, operations: Mapping[str, Callable[..., Any]], url: str = "https://x.amazonaws.com") -> None:
        self.operations, self.asked = operations, []
        self.meta = type("Meta", (), {"endpoint_url": url})()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.operations:
            raise AttributeError(name)

        def ask(**arguments: Any) -> Any:
            self.asked.append((name, arguments))
            answer = self.operations[name](**arguments)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask

    def get_paginator(self, name: str) -> Any:
        return type(
            "Paginator", (), {"paginate": staticmethod(lambda **arguments: [getattr(self, name)(**arguments)])}
        )()


def place_of(
    clients: Mapping[str, Client],
    functions: Mapping[str, str] | None = None,
    local_url: str | None = None,
    **more: Any,
) -> Place:
    """A place with such clients, by the names of their services; a stack, unless it is a local endpoint."""
    given: dict[str, Any] = {
        "functions": functions or {"rank": "stars-rank"},
        "local": AwsEndpoint(local_url) if local_url else None,
        "stack": None if local_url else "stars",
        **more,
    }
    return Place("the stack stars", lambda service: clients[service], REGION, MACHINE, "galaxies", **given)
