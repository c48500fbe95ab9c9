"""Single values over channels, waited for: what production code does for many peers at once (operations/exchange)."""

import select
import time

from lambda_image.comm.channel.channel import Channel
from lambda_image.comm.channel.values import Value


def send(channel: Channel, value: Value, deadline: float) -> None:
    """Returns when the kernel has all of it. Raises TimeoutError, and ConnectionError with why the channel ended."""
    ticket = channel.post(0, 0, 0, value)
    while ticket and not channel.gone(ticket):
        _wait(channel, select.POLLOUT, deadline)
        channel.pump_out()


def receive(channel: Channel, deadline: float) -> Value:
    channel.pump_in()
    while not channel.frames:
        _wait(channel, select.POLLIN, deadline)
        channel.pump_in()
    value: Value = channel.frames.popleft().value
    return value


def _wait(channel: Channel, events: int, deadline: float) -> None:
    if channel.ended is not None:
        raise ConnectionError(channel.ended)
    poll = select.poll()
    poll.register(channel, events)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError
