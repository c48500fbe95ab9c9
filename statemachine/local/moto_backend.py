"""Every AWS service but Lambda: moto on a private port of this process, reached through a proxy that streams.

moto's interpreter of the Amazon States Language calls Lambda and S3 at localhost:$MOTO_PORT. With the endpoint's own
port there, Lambda calls reach the Invoke API and everything else comes back here.
"""

import asyncio
import io
import json
import logging
import os
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from lambda_image.json_text import parse_json
from statemachine.definition import STATE_MACHINE, definition
from statemachine.local.child_executions import ChildExecutions, keep_children
from statemachine.local.early_stops import let_programs_begin
from statemachine.local.executions_api import ExecutionsApi
from statemachine.local.moto_failures import Application, with_failures_answered
from statemachine.local.settings import ACCOUNT, DEFAULT_REGION, FUNCTIONS, function_arn

CONNECT_S = 5.0  # moto is in this process: longer means that it is gone
SILENCE_S = 900.0  # between two pieces of a body; the longest synchronous call (an Express execution) takes 300
CHUNK = 256 * 1024  # bytes
STATE_LIMIT = 262_144  # bytes of JSON: 256 KiB, Step Functions' limit of what goes into a state or comes out of it
OF_THE_STATE_MACHINE = "Credential=ak/"  # by which moto's interpreter signs what it asks of Lambda and S3
# Headers of one connection, not of the request (RFC 9110, 7.6.1). Expect was answered where the request came in.
HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "proxy-connection"}


def start_moto(public_port: int) -> URL:
    """Starts moto, and returns its private address once it answers.

    This takes a second or two, mostly for imports, and belongs into a thread.
    """
    os.environ["MOTO_PORT"] = str(public_port)
    from moto.core.config import default_user_config
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for
    from werkzeug.serving import make_server

    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # otherwise one line per request
    # A failed state or execution is no failure of moto's. Its caller learns of it through the API.
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
    for service in ("lambda", "s3"):
        # Sets up boto3's default session: doing so in many threads at once, as ranks of a Map would, is a race.
        boto_client_for(region=DEFAULT_REGION, service=service)
    children = ChildExecutions()
    keep_children(children)
    let_programs_begin()
    app = with_whole_conditions(with_system_errors_answered(DomainDispatcherApplication(create_backend_app)))
    app = ExecutionsApi(with_failures_answered(app), children)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()  # ends with the process
    return URL.build(scheme="http", host="127.0.0.1", port=server.server_port)


def make_state_machine() -> None:
    """Makes the project's state machine, so that clients find one in a fresh endpoint."""
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    arns = {f"{name.capitalize()}FunctionArn": function_arn(name) for name in FUNCTIONS}
    role = f"arn:aws:iam::{ACCOUNT}:role/local"
    backend: Any = stepfunctions_parser_backends[ACCOUNT][DEFAULT_REGION]
    backend.create_state_machine(name=STATE_MACHINE, definition=definition(arns), roleArn=role)


def with_system_errors_answered(app: Application) -> Application:
    """Makes a WSGI application answer an error of the system, such as a full disk, in the words of S3.

    moto keeps large objects in temporary files. Without an answer the client would try several times, this process
    would print a traceback each time, and nobody would say what is wrong. Clients do not repeat what gets 507.
    """

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except OSError as error:
            reason = (
                f"{error.strerror or error} (objects are kept in {tempfile.gettempdir()}; TMPDIR names another place)"
            )
            body = f"<Error><Code>{type(error).__name__}</Code><Message>{escape(reason)}</Message></Error>".encode()
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            start_response("507 Insufficient Storage", headers)
            return [body]

    return answering


def with_whole_conditions(app: Application) -> Application:
    """Makes a WSGI application answer one conditional write after another.

    moto looks whether the condition holds and then writes, in as many threads as there are requests. Two writers of the
    same version would both succeed, where S3 refuses one of them. The body is read before, as it may come slowly.
    """
    from werkzeug.wsgi import get_input_stream

    one_at_a_time = threading.Lock()

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "PUT" or not {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"} & environ.keys():
            return app(environ, start_response)
        body = get_input_stream(environ).read()
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        with one_at_a_time:
            return app(environ, start_response)

    return answering


class Proxy:
    """Passes requests to moto, and its answers back.

    It must be made inside a running loop. Requests that come before moto is up wait for `backend`, its address, and
    those to Step Functions and Logs for `prepared`, too.
    """

    def __init__(self, backend: asyncio.Task[URL], prepared: asyncio.Task[None]) -> None:
        self._backend = backend
        self._prepared = prepared
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, force_close=True),  # no limit but the clients' own
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Handles every request that is not an invocation."""
        base = await asyncio.shield(self._backend)
        headers = end_to_end(request.headers)
        if request.method == "GET" and OF_THE_STATE_MACHINE in headers.get("Authorization", ""):
            return await self._read_items(request, base, headers)
        if headers.get("X-Amz-Target", "").startswith(("AWSStepFunctions.", "Logs_")):
            await asyncio.shield(self._prepared)
        body: AsyncIterator[bytes] | bytes | None = request.content.iter_chunked(CHUNK) if request.body_exists else None
        if headers.get("X-Amz-Target") == "AWSStepFunctions.StartExecution":
            body = with_name(await request.read())
            if too_large(body):
                return refused_input()
            headers.pop("Content-Length", None)
        async with self._session.request(
            request.method,
            URL(f"{base.origin()}{request.raw_path}", encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
        ) as upstream:
            response = web.StreamResponse(
                status=upstream.status, reason=upstream.reason, headers=end_to_end(upstream.headers)
            )
            try:
                await response.prepare(request)
                if request.method != "HEAD":
                    async for chunk in upstream.content.iter_chunked(CHUNK):
                        await response.write(chunk)
                await response.write_eof()
            except ConnectionResetError:  # the client has gone: it had read as much as it wanted, or has ended
                logging.getLogger(__name__).debug("%s %s: the client has gone", request.method, request.raw_path)
            return response

    async def _read_items(self, request: web.Request, base: URL, headers: CIMultiDict[str]) -> web.StreamResponse:
        """What the state machine reads from S3 are the items of a Map, each of which has to fit into a state."""
        url = URL(f"{base.origin()}{request.raw_path}", encoded=True)
        async with self._session.get(url, headers=headers, allow_redirects=False) as upstream:
            body, answered = await upstream.read(), end_to_end(upstream.headers)
        if upstream.status == HTTPStatus.OK and (problem := items_problem(body)) is not None:
            error = f"<Error><Code>InvalidObjectState</Code><Message>{escape(problem)}</Message></Error>"
            return web.Response(status=HTTPStatus.FORBIDDEN, text=error, content_type="application/xml")
        answered.pop("Content-Length", None)
        return web.Response(status=upstream.status, reason=upstream.reason, headers=answered, body=body)

    async def close(self) -> None:
        """Closes the connections to moto."""
        await self._session.close()


def items_problem(content: bytes) -> str | None:
    """Says which item of a Map's array is larger than a state may be, if any is."""
    try:
        items = parse_json(content)
    except ValueError:
        return None
    for index, item in enumerate(items if isinstance(items, list) else ()):
        size = len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass"))
        if size > STATE_LIMIT:
            return f"item {index} has {size:,} bytes, and a state may have {STATE_LIMIT:,}"
    return None


def too_large(start_execution: bytes) -> bool:
    """Says whether an execution's input is larger than a state may be."""
    try:
        given = parse_json(start_execution).get("input", "")
    except (ValueError, AttributeError):
        return False
    return isinstance(given, str) and len(given.encode(errors="surrogatepass")) > STATE_LIMIT


def refused_input() -> web.Response:
    """Makes the answer to an execution's input that is too large."""
    message = (
        "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less than "
        f"or equal to {STATE_LIMIT}"
    )
    body = json.dumps({"__type": "ValidationException", "message": message})
    return web.Response(status=HTTPStatus.BAD_REQUEST, text=body, content_type="application/x-amz-json-1.0")


def with_name(start_execution: bytes) -> bytes:
    """Names an execution that has no name by a UUID, as AWS does. moto would call all of them None."""
    try:
        return json.dumps({"name": str(uuid.uuid4())} | parse_json(start_execution)).encode()
    except (ValueError, TypeError):
        return start_execution  # moto says what is wrong with it


def end_to_end(headers: CIMultiDictProxy[str] | Mapping[str, str]) -> CIMultiDict[str]:
    """Returns the headers that a proxy passes on."""
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in HOP_BY_HOP:
            kept.add(name, value)
    return kept
