"""Commands by their flags, which tests give as words, paths and numbers."""

import argparse
from types import ModuleType


def parsed(command: ModuleType, *words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def run_command(command: ModuleType, *words: object) -> int:
    status: int = command.run(parsed(command, *words))
    return status
