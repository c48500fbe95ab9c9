"""Draws the learning curve of what scripts.training.train said: python -m scripts.training.curve train.log curve.png"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

REPORT = re.compile(r"^ *(\d+) s  step +(\d+)  loss ([0-9.]+)$", re.MULTILINE)


def points(said: str) -> list[tuple[int, float]]:
    """The steps and mean losses that a training reported. One that was gone on from a checkpoint repeats some steps."""
    found = {int(step): float(loss) for _, step, loss in REPORT.findall(said)}
    return sorted(found.items())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.training.curve", allow_abbrev=False, description=__doc__)
    parser.add_argument("log", type=Path, help="what scripts.training.train printed")
    parser.add_argument("picture", type=Path, help="the file to write, whose ending decides the format")
    args = parser.parse_args(arguments)
    curve = points(args.log.read_text())
    if not curve:
        parser.error(
            f"{args.log} has no line such as '25 s  step    50  loss 0.31332', which scripts.training.train prints"
        )
    from matplotlib.figure import Figure  # here: its import takes half a second

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*curve, strict=True))
    axes.set(xlabel="steps", ylabel="loss, mean of 50 steps", yscale="log")
    axes.grid(alpha=0.3)
    figure.savefig(args.picture, dpi=110)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
