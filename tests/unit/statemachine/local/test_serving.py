import asyncio
import socket
from contextlib import AsyncExitStack

from aiohttp import ClientSession, web

from statemachine.local.serving import listen


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read(), headers={"Given": request.headers.get("Content-Encoding", "")})


def application() -> web.Application:
    app = web.Application()
    app.router.add_post("/", echo)
    return app


def test_it_listens_where_it_says_until_the_end() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            async with AsyncExitStack() as stack:
                free = await listen(stack, application(), "127.0.0.1")
                given = await listen(stack, application(), bound)
                assert given == "{}:{}".format(*bound.getsockname())
                assert free != given
                async with ClientSession() as session:
                    for address in (free, given):
                        answer = await session.post(f"http://{address}/", data=b"body")
                        assert await answer.read() == b"body"
            host, port = free.split(":")
            with socket.socket() as later:
                assert later.connect_ex((host, int(port)))

    asyncio.run(main())


def test_a_compressed_body_stays_as_it_was_sent() -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack, ClientSession() as session:
            address = await listen(stack, application(), "127.0.0.1")
            answer = await session.post(f"http://{address}/", data=b"not gzip", headers={"Content-Encoding": "gzip"})
            assert (await answer.read(), answer.headers["Given"]) == (b"not gzip", "gzip")

    asyncio.run(main())
