"""What one operation still has to do with one peer."""

from lambda_image.comm.channel.channel import Channel, OutBuffer
from lambda_image.comm.channel.sealing import Content
from lambda_image.comm.channel.values import Value
from lambda_image.comm.roster import PeerState


class Transfer:
    """Keeps what one operation still has to send to one peer, and to receive from it."""

    __slots__ = (
        "channel",
        "due",
        "out",
        "out_buffers",
        "peer",
        "plain",
        "posted",
        "rank",
        "ticket",
        "touched",
        "watched",
    )

    def __init__(self, rank: int, peer: PeerState | None) -> None:
        self.rank = rank
        self.peer = peer  # the attempt that this is for
        self.channel: Channel | None = None if peer is None else peer.channel
        self.plain = False  # nothing is the matter with it, by the latest news
        self.out: list[tuple[Content, int]] = []  # values and flags, not pushed yet
        self.ticket = 0  # of the last frame pushed
        self.due = 0  # frames to receive
        self.out_buffers: list[OutBuffer | None] = []  # for the frames due, since the first that got one
        self.posted = False  # whether the channel knows of them
        self.touched = False  # something was sent, or anything received
        self.watched = False  # whether it has been waited for

    def expect(self, out: Value | None) -> None:
        """One more frame, whose value is to be put into `out` if it has that form."""
        add_out_buffer(self.out_buffers, self.due, out)
        self.due += 1

    def bind(self, peer: PeerState | None) -> None:
        """Begin anew with another attempt of the rank."""
        self.peer, self.channel, self.touched, self.posted = peer, None, False, False

    def move(self, channel: Channel, number: int, code: int, *, look: bool) -> None:
        """Send what the kernel takes and, if `look`, receive what has come, up to one frame."""
        if self.out:
            for value, flags in self.out:
                self.ticket = channel.push(number, code, flags, value)
            self.out.clear()
            self.touched = True
            channel.pump_out()
        elif self.ticket:
            channel.pump_out()
        if self.due:
            if self.out_buffers and not self.posted:
                channel.post_out_buffers(number, code, self.out_buffers)
                self.posted = True
            if look:
                before = channel.bytes_received
                channel.pump_in()
                if channel.bytes_received != before:
                    self.touched = True

    def over(self, channel: Channel) -> bool:
        return not self.due and not self.out and channel.gone(self.ticket)

    def overdue(self) -> str:
        """What did not happen in time."""
        if self.peer is None:
            return "had not joined"
        if self.channel is None:
            return "had joined but not connected"
        return "had not sent its part" if self.due else "had not taken what was sent"


def add_out_buffer(out_buffers: list[OutBuffer | None], due: int, out: Value | None) -> None:
    """For the next of the frames due; `out_buffers` stays empty until there is a buffer for one."""
    if out is not None:
        if not out_buffers:
            out_buffers += [None] * due
        out_buffers.append(OutBuffer.of(out))
    elif out_buffers:
        out_buffers.append(None)
