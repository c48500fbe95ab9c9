"""The operations that are measured, by name."""

BARRIER, GATHER, BCAST, ALLREDUCE = OPERATIONS = ("barrier", "gather", "bcast", "allreduce")
