from pathlib import Path

from lambda_image.processor import Processor, describe, this_processor

X86 = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) @ 2.50GHz\nflags\t\t: fpu avx2 fma avx512f\n\nmodel name\t: x\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"


def test_a_processor_is_named_with_what_the_engine_can_use():
    assert describe(X86, "x86_64") == Processor("Intel(R) Xeon(R) @ 2.50GHz", "x86_64", ("avx2", "fma", "avx512f"))
    assert describe(ARM, "aarch64") == Processor("implementer 0x41 part 0xd0c", "aarch64", ("asimd", "asimddp"))


def test_where_the_system_tells_nothing_there_is_the_architecture(tmp_path: Path):
    found = this_processor(tmp_path / "none")
    assert found.model == found.architecture
    assert found.instruction_sets == ()
