import argparse
from pathlib import Path

from scripts.bench.flags import add_common_arguments


def test_every_benchmark_has_these():
    parser = argparse.ArgumentParser()
    add_common_arguments(parser, quick="less")
    args = parser.parse_args(["--quick", "--json", "a.json", "--picture", "a.svg"])
    assert (args.quick, args.json, args.picture) == (True, Path("a.json"), Path("a.svg"))
