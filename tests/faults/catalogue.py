"""All faults, by what they befall."""

from tests.faults import machine, ranks, rendezvous, storage

GROUPS = {
    "ranks": ranks.FAULTS,
    "the rendezvous server": rendezvous.FAULTS,
    "S3": storage.FAULTS,
    "the machine": machine.FAULTS,
}
EVERY = [(group, fault) for group, faults in GROUPS.items() for fault in faults]
