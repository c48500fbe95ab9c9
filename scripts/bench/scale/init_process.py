"""The process of Init: the real handler, which is called as Lambda calls it, in an environment that is fresh.

It reads an execution input, and answers how long Init took and how much of memory and processor.
"""

import contextlib
import json
import sys
import time
from datetime import UTC, datetime

from lambda_image import process
from lambda_image.handlers.init import handler

ARN = "arn:aws:states:us-east-1:123456789012:execution:redshift:scale"


def main() -> None:
    print(json.dumps({"before_mb": process.peak_rss_mb()}), flush=True)
    for line in sys.stdin:
        event = {"input": json.loads(line), "execution": ARN, "started_at": datetime.now(UTC).isoformat()}
        started, busy = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(sys.stderr):  # where Init logs
            run = handler(event, None)
        figures = {
            "seconds": time.perf_counter() - started,
            "cpu_s": time.process_time() - busy,
            "peak_mb": process.peak_rss_mb(),
        }
        print(json.dumps({"figures": figures, "run": run}), flush=True)


if __name__ == "__main__":
    main()
