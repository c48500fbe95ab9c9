"""cosmicai bench input: damaged files and bad values go through everything that a run does with a partition.

Good files of every format are changed at random, each change by a seed of its own. What comes of each file is held
against what other readers find in it and what PyTorch predicts in float64.
"""

import argparse
from pathlib import Path

from scripts.json_file import add_json
from scripts.user_files import add_overwrite

HELP = "damaged files and bad values: no traceback, no lost row, no wrong prediction without a flag"
EXAMPLE = "cosmicai bench input --mutations 1000 --seed 0 --json input.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mutations", type=int, default=1000, help="how many changed files")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other changes")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="repeat the mutation of this number and show it")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the files that failed, or that of --only")
    add_json(parser, "the counts, and all failures")
    add_overwrite(parser, "the file that --json names")


def run(args: argparse.Namespace) -> int:
    from scripts.bench.input import command

    return command.run(args)
