"""All faults, by what they befall."""

from tests.faults import machine, names, network, orchestration, ranks, rendezvous, storage

GROUPS = {
    "ranks": ranks.FAULTS,
    "the rendezvous server": rendezvous.FAULTS,
    "the network": network.FAULTS,
    "S3": storage.FAULTS,
    "orchestration": orchestration.FAULTS,
    "the machine": (*machine.FAULTS, *names.FAULTS),
}
EVERY = [(group, fault) for group, faults in GROUPS.items() for fault in faults]
