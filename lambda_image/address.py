"""The address of a server, as people write it."""

from typing import NamedTuple


class Address(NamedTuple):
    """Where a server listens, written as host:port."""

    host: str  # a name, an IPv4 or an IPv6 address
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: object) -> "Address":
        """Reads an address.

        Args:
            text: "host:port" or "[IPv6]:port".

        Raises:
            ValueError: it is neither; the message says what is allowed.
        """
        host, colon, port = text.strip().rpartition(":") if isinstance(text, str) else ("", "", "")
        if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError("host:port, for example rendezvous:10000, with a port from 1 to 65535")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))
