"""The command of a child. That it dies with its parent is tested in tests/integration, with processes."""

import os
import sys

from statemachine.local import child


def test_the_command_names_this_process_as_the_parent() -> None:
    python, *flags, file, parent, module, argument = child.command("awslambdaric", "a.handler")
    assert (python, flags, file) == (sys.executable, ["-I", "-S"], child.__file__)
    assert (parent, module, argument) == (str(os.getpid()), "awslambdaric", "a.handler")
