"""Hosts and the gateway before them, attached to the public segment for a while.

       public segment
      |              |
   gateway      public host
      | 192.168.1.1
   +--+-------+
   host .2   host .3        every LAN uses the same addresses, as LANs do

Each box is a namespace. With IPv6 a site has a /64 of its own, and its gateway routes instead of translating.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from tests.network.namespace import Namespace

# One /30 or /64 between the segment and each site, and one /64 for each LAN with IPv6: none is used twice.
LINKS_4, LINKS_6 = IPv4Network("198.18.0.0/15"), IPv6Network("2001:db8::/48")
LANS_6 = IPv6Network("2001:db8:1::/48")
LAN_4 = IPv4Network("192.168.1.0/24")


Network = IPv4Network | IPv6Network


class Translation(StrEnum):
    """What a gateway makes of a connection's source, as the target of a rule."""

    PRESERVING = "MASQUERADE"  # its own address, with the same port where that is free
    REWRITING = "MASQUERADE --to-ports 20000-29999"  # with another port, the same one for all destinations
    RANDOM = "MASQUERADE --random-fully"  # with another port for each destination: a symmetric NAT
    NONE = "ACCEPT"  # nothing: it routes


class Stray(StrEnum):
    """What a gateway does with a connection from outside that nobody inside has asked for, as the target of a rule."""

    DROPPED = "DROP"  # as RFC 5382, 4.3 asks
    RESET = "REJECT --reject-with tcp-reset"


@dataclass(frozen=True)
class Site:
    translation: Translation | None  # None: one host, without a gateway
    stray: Stray = Stray.DROPPED
    ipv6: bool = False
    hosts: int = 1
    delay_ms: float = 0.0  # one way, between here and the segment
    loss: float = 0.0  # share of the packets, each way


class Attachment:
    """A site, there until the stack is closed. `public` is the address, or subnet, that the segment knows it by."""

    def __init__(self, segment: Namespace, site: Site, number: int, stack: ExitStack) -> None:
        self.site = site
        self._stack = stack
        link: Network = IPv4Network((LINKS_4[4 * number], 30))
        lan: Network = LAN_4
        if site.ipv6:
            link, lan = IPv6Network((LINKS_6[number << 64], 64)), IPv6Network((LANS_6[number << 64], 64))
        lan_is_public = site.translation is Translation.NONE
        self.public = f"{lan}" if lan_is_public else f"{link[2]}"

        edge, device = self._namespace(), f"site{number}"
        segment.ip(
            *self._devices(segment, device, edge),
            *_interface(link, 1, device),
            *([f"route add {lan} via {link[2]}"] if lan_is_public else []),
        )
        uplink = (*_interface(link, 2, "wan"), f"route add default via {link[1]}")
        if site.translation is None:
            edge.ip(*uplink)
            self.hosts = [edge]
            return
        self.hosts = [self._namespace() for _ in range(site.hosts)]
        edge.route()
        edge.ip(*uplink, "link add lan type bridge", *_interface(lan, 1, "lan"), *self._ports())
        for host_number, host in enumerate(self.hosts, 2):
            host.ip(*_interface(lan, host_number, "eth0"), f"route add default via {lan[1]}")
        self._protect(edge, site.translation)

    def _namespace(self) -> Namespace:
        namespace = Namespace()
        self._stack.callback(namespace.close)
        return namespace

    def _devices(self, segment: Namespace, device: str, edge: Namespace) -> list[str]:
        """What makes the two ends of the link, `device` at the segment and `wan` at the edge: nothing more to do where
        that was a process."""
        site = self.site
        if not site.delay_ms and not site.loss:
            return [f"link add {device} type veth peer name wan netns {edge.path}"]
        between = (segment.path, device, edge.path, "wan", str(site.delay_ms), str(site.loss))
        process = edge.start("tests.network.impaired_link", *between)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return []

    def _ports(self) -> Iterator[str]:
        """Of the bridge, one for each host's eth0."""
        for number, host in enumerate(self.hosts, 2):
            yield f"link add host{number} type veth peer name eth0 netns {host.path}"
            yield f"link set host{number} master lan up"

    def _protect(self, gateway: Namespace, translation: Translation) -> None:
        """Let out everything, and in what belongs to it. That holds for the LAN as well: nobody gets to a neighbour by
        way of the public address (hairpinning)."""
        known, stray = "-m conntrack --ctstate ESTABLISHED,RELATED", self.site.stray
        gateway.rules(
            "*filter",
            f"-A INPUT {known} -j ACCEPT",
            f"-A INPUT -p tcp -j {stray}",
            f"-A FORWARD -i wan {known} -j ACCEPT",
            f"-A FORWARD -i wan -p tcp -j {stray}",
            "COMMIT",
            "*nat",
            f"-A POSTROUTING -o wan -p tcp -j {translation}",
            "COMMIT",
            ipv6=self.site.ipv6,
        )


def _interface(network: Network, number: int, device: str) -> tuple[str, ...]:
    """Packets leave it as they would a real one, and not 64 kB at once: firewalls look at their sizes."""
    return (
        f"address add {network[number]}/{network.prefixlen} dev {device}",
        f"link set dev {device} gso_max_segs 1 up",
    )
