"""The name by which the ranks of a run ask the rendezvous server for each other. Pure.

Whoever has the deployment's key may join a group whose name he knows, and then push ranks out of it by a newer attempt
or shut its name for them by another world size. The name therefore ends in what only a holder of the run's key can
compute. To a server it is a run id like any other, so that ranks and servers of all versions understand each other.
"""

import hmac

LABEL = b"rendezvous group 1\0"  # the same key makes other values elsewhere
SECRET_DIGITS = 32  # of hex: 128 bits, which nobody guesses
MAX_READABLE = 128  # bytes of the run id, which stays readable in the server's log; with the rest a name has 161


def group_name(run_id: str, run_key: bytes) -> str:
    """The name of a run's group, for the wire only: see `without_secret`."""
    secret = hmac.digest(run_key, LABEL + run_id.encode(), "sha256").hex()[:SECRET_DIGITS]
    return f"{run_id.encode()[:MAX_READABLE].decode(errors='ignore')}:{secret}"


def without_secret(text: str, name: str) -> str:
    """What the server said of the group `name`, fit for logs and results, which more people read than hold the key."""
    secret = name.rpartition(":")[2]
    return text.replace(f":{secret}", "") if len(secret) == SECRET_DIGITS else text
