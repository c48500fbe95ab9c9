"""Ranks of a run in one process, a thread each, with an engine that answers at once. A line of JSON on stdin has them.

Every rank is the function as it is: it claims, joins, reads, writes and gathers by itself.
"""

import json
import resource
import sys
import threading
from types import SimpleNamespace

from lambda_image.handlers.rank import RankFunction
from lambda_image.results import Phases
from lambda_image.settings import HandlerSettings
from tests.integration.instant_rank import InstantEngine

DESCRIPTORS_EACH = 40
TIME_LEFT_MS = 300_000


def main() -> int:
    items = json.loads(sys.stdin.readline())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 1024 + DESCRIPTORS_EACH * len(items)), most))
    failed: list[str] = []

    def work(item: dict[str, object]) -> None:
        function = RankFunction(HandlerSettings.from_environ({}), InstantEngine(), Phases())  # type: ignore[arg-type]
        try:
            function({"item": item}, SimpleNamespace(get_remaining_time_in_millis=lambda: TIME_LEFT_MS))
        except Exception as error:
            failed.append(f"rank {item['rank']}: {error!r}")

    threads = [threading.Thread(target=work, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(failed), file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
