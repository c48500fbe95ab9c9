"""Which processor this is, as far as the compiled engine cares."""

import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# What engines for either architecture can make use of, by the names that Linux has for it.
INSTRUCTION_SETS = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve"),
)


@dataclass(frozen=True)
class Processor:
    """A processor, by its name and the instruction sets that it has of those that matter here."""

    model: str
    architecture: str
    instruction_sets: tuple[str, ...]


def this_processor(cpuinfo: Path = CPUINFO) -> Processor:
    """Describes the processor that this process runs on. Where Linux tells nothing, its sets are empty."""
    try:
        text = cpuinfo.read_text()
    except OSError:
        text = ""
    return describe(text, platform.machine())


def describe(cpuinfo: str, architecture: str) -> Processor:
    """Describes a processor.

    Args:
        cpuinfo: the text of /proc/cpuinfo.
        architecture: as the system names it, such as x86_64 or aarch64.
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    # ARM's processors have part numbers instead of names: 0xd0c is the Neoverse N1 of Graviton2.
    part = (
        f"implementer {fields['CPU implementer']} part {fields.get('CPU part')}" if "CPU implementer" in fields else ""
    )
    known = set((fields.get("flags") or fields.get("Features") or "").split())
    return Processor(
        fields.get("model name") or part or architecture, architecture, tuple(s for s in INSTRUCTION_SETS if s in known)
    )
