"""What the endpoint serves (the table of functions), and the environment of their workers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from math import inf

from lambda_image.json_text import parse_json

ACCOUNT = "123456789012"  # moto's account
DEFAULT_REGION = "us-east-1"
LAST_PORT = 65_535

# What would lead clients on this machine to another account or endpoint, or make them refuse this one.
FOREIGN = {
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
}
FOREIGN_PREFIX = "AWS_ENDPOINT_URL"  # with _S3, _STEP_FUNCTIONS, ... for one service


@dataclass(frozen=True)
class FunctionSettings:
    """Holds what Lambda would know of a function, and how its workers run here."""

    handler: str  # module.function
    timeout_s: float
    memory_mb: int
    workers: int = 1  # processes that the endpoint keeps; 0 if all come from outside
    runtime_port: int = 0  # where workers from outside poll; 0 takes a free port
    waiting_limit: int = 1000  # invocations; Lambda's own limit of concurrent executions per account, unless raised
    waking_s: float = 0.0  # seconds that it takes to wake, if it is inactive at first; 0 if it is active


FUNCTIONS: Mapping[str, FunctionSettings] = {
    "init": FunctionSettings("lambda_image.handlers.init.handler", timeout_s=120, memory_mb=512),
    "rank": FunctionSettings("lambda_image.handlers.rank.handler", timeout_s=900, memory_mb=3072),
    "summarize": FunctionSettings("lambda_image.handlers.summarize.handler", timeout_s=300, memory_mb=1024),
}


def with_workers(functions: Mapping[str, FunctionSettings], ranks: int) -> dict[str, FunctionSettings]:
    """Returns the table with `ranks` rank workers; 0 leaves every function to workers from outside."""
    table = {name: replace(function, workers=min(ranks, 1)) for name, function in functions.items()}
    return table | {"rank": replace(functions["rank"], workers=ranks)}


def read_functions(text: str, defaults: Mapping[str, FunctionSettings] = FUNCTIONS) -> dict[str, FunctionSettings]:
    """Returns a table with changed and added functions.

    Args:
        text: A JSON object `{name: {setting: value}}`.
        defaults: The table that it changes.

    Raises:
        ValueError: A function or setting is wrong. The message names it and says what is allowed.
    """
    changes = parse_json(text)
    if not isinstance(changes, dict) or not all(isinstance(change, dict) for change in changes.values()):
        raise ValueError('the table of functions must be a JSON object {"rank": {"timeout_s": 900, ...}, ...}')
    known = {field.name for field in fields(FunctionSettings)}
    table = dict(defaults)
    for name, change in changes.items():
        if unknown := change.keys() - known:
            raise ValueError(f"function {name}: no setting {', '.join(sorted(unknown))}; there are {sorted(known)}")
        for setting, value in change.items():
            allowed, fits = ALLOWED[setting]
            if not fits(value):
                raise ValueError(f"function {name}: {setting} is {value!r}, and must be {allowed}")
        if name in table:
            table[name] = replace(table[name], **change)
        elif missing := {"handler", "timeout_s", "memory_mb"} - change.keys():
            raise ValueError(f"function {name}: {', '.join(sorted(missing))} must be given")
        else:
            table[name] = FunctionSettings(**change)
    return table


def _whole(value: object, first: int, last: float = inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and first <= value <= last


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < inf


ALLOWED: dict[str, tuple[str, Callable[[object], bool]]] = {
    "handler": ("module.function", lambda value: isinstance(value, str) and "." in value),
    "timeout_s": ("a number greater than 0", _positive),
    "memory_mb": ("a whole number from 1 on", partial(_whole, first=1)),
    "workers": ("a whole number from 0 on", partial(_whole, first=0)),
    "runtime_port": (f"a whole number from 0 to {LAST_PORT}", partial(_whole, first=0, last=LAST_PORT)),
    "waking_s": ("seconds from 0 on", lambda value: value == 0 or _positive(value)),
    "waiting_limit": ("a whole number from 0 on", partial(_whole, first=0)),
}


def function_arn(name: str, region: str = DEFAULT_REGION) -> str:
    """Returns a function's ARN in moto's account."""
    return f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"


def function_name(reference: str) -> str:
    """Returns the name in what Lambda takes as FunctionName: a name, a partial or full ARN, with or without alias."""
    _, separator, rest = reference.rpartition("function:")
    return (rest if separator else reference).split(":")[0]


def for_this_machine(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which no proxy and no AWS account is asked for what this machine serves."""
    hosts = [environ.get("NO_PROXY") or environ.get("no_proxy"), "localhost", "127.0.0.1"]
    bypass = ",".join(host for host in hosts if host)
    kept = {k: value for k, value in environ.items() if k not in FOREIGN and not k.startswith(FOREIGN_PREFIX)}
    return {**kept, "NO_PROXY": bypass, "no_proxy": bypass}


def worker_environment(
    environ: Mapping[str, str], name: str, function: FunctionSettings, *, runtime_api: str, endpoint_url: str, cpus: int
) -> dict[str, str]:
    """Returns `environ` with what Lambda sets, and without the user's AWS credentials, of no use to this endpoint."""
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    threads = max(1, cpus // max(1, function.workers))  # workers share the machine instead of each taking all of it
    return for_this_machine({"OMP_NUM_THREADS": str(threads), **environ}) | {
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"local/[$LATEST]{runtime_api}",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_ENDPOINT_URL": endpoint_url,
    }
