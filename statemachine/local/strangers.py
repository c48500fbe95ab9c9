"""Refuses what a web page in a browser of this machine sends, since the endpoint asks nobody for a password.

A page reaches a port of its visitor's machine in two ways. It asks for `http://localhost:4566/...`, and the browser
says so in Origin or Sec-Fetch-Site. Or it asks for a name of its own that it has let point to 127.0.0.1 meanwhile (DNS
rebinding), and the browser says so in Host.
"""

from collections.abc import Mapping
from ipaddress import ip_address

from aiohttp import web
from aiohttp.typedefs import Handler

OWN_DOMAINS = (".localhost", ".internal", ".local")  # of this machine, of containers, of this network
FOREIGN_SITES = ("cross-site", "same-site")


def refusal(headers: Mapping[str, str], own_name: str = "") -> str | None:
    """Says why a request is refused, or None where it is not.

    Args:
        headers: The request's.
        own_name: A name with dots by which this endpoint may be called, as given to --host.

    Returns:
        One line for the client.
    """
    host = headers.get("Host", "")
    name = _name(host)
    if not _is_own(name, own_name):
        return f"the request is for {name!r}, and this endpoint answers to localhost, addresses and names without a dot"
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != host:
        return f"the request comes from a page of {origin!r}, and this endpoint answers no web pages"
    if headers.get("Sec-Fetch-Site") in FOREIGN_SITES:
        return "the request comes from a page of another site, and this endpoint answers no web pages"
    return None


@web.middleware
async def without_strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers 403 where `refusal` says why."""
    reason = refusal(request.headers, request.config_dict.get(OWN_NAME, ""))
    if reason is None:
        return await handler(request)
    headers = {"X-Amzn-ErrorType": "AccessDeniedException", "Connection": "close"}
    return web.json_response({"__type": "AccessDeniedException", "message": reason}, status=403, headers=headers)


OWN_NAME = web.AppKey("own_name", str)


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def _is_own(name: str, own_name: str) -> bool:
    if "." not in name and ":" not in name:  # not even of a public suffix; HTTP/1.0 clients give none
        return True
    try:
        ip_address(name)
    except ValueError:
        return name.endswith(OWN_DOMAINS) or name == own_name.lower()
    return True
