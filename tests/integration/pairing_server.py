"""A pairing server of a few lines, on plain asyncio: what existing clients' server does when all goes well. Run as a
script it prints its port; with `swapped` it introduces clients to themselves, with `mute` it never answers, with
`impatient` it drops whoever says nothing for 50 ms."""

import asyncio
import socket
import struct
import sys

waiting: dict[bytes, tuple[asyncio.StreamWriter, bytes]] = {}
mute: list[asyncio.StreamWriter] = []  # which Python 3.12 would close once nobody has them


def record(writer: asyncio.StreamWriter) -> bytes:
    host, port = writer.get_extra_info("peername")
    return struct.pack("!4sH2x", socket.inet_aton(host), port)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    patience = 0.05 if MODE == "impatient" else None
    try:
        name = (await asyncio.wait_for(reader.read(100), patience)).rstrip(b"\0")
    except TimeoutError:
        writer.close()
        return
    own = record(writer)
    if MODE == "mute":
        mute.append(writer)
    if not name or MODE == "mute":
        return
    writer.write(own)
    if name not in waiting:
        waiting[name] = writer, own
        return
    partner, address = waiting.pop(name)
    writer.write(own if MODE == "swapped" else address)
    partner.write(own)
    for end in (writer, partner):
        end.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    MODE = sys.argv[1] if len(sys.argv) > 1 else ""
    asyncio.run(main())
