"""The state machine's definition with the functions' ARNs filled in, as CloudFormation would fill them in."""

import re
from collections.abc import Mapping
from pathlib import Path

DEFINITION = Path(__file__).with_name("redshift.asl.json")
STATE_MACHINE = "redshift"  # its name in the local endpoint
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def definition(arns: Mapping[str, str]) -> str:
    """Returns redshift.asl.json, which is in the Amazon States Language, with the functions' ARNs filled in.

    Args:
        arns: InitFunctionArn, RankFunctionArn and SummarizeFunctionArn.

    Raises:
        KeyError: A placeholder has no value.
        ValueError: A value has no placeholder.
    """
    text = DEFINITION.read_text(encoding="utf-8")
    if unused := arns.keys() - set(PLACEHOLDER.findall(text)):
        raise ValueError(f"the definition has no placeholder for {', '.join(sorted(unused))}")
    return PLACEHOLDER.sub(lambda match: arns[match[1]], text)
