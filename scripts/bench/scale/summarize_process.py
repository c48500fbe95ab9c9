"""The process of Summarize: the real handler, which is called as Lambda calls it, in an environment that is fresh."""

import contextlib
import json
import sys
import time
from datetime import UTC, datetime

from lambda_image import process
from lambda_image.handlers.summarize import handler


def main() -> None:
    print(json.dumps({"before_mb": process.peak_rss_mb()}), flush=True)
    for line in sys.stdin:
        event = {"state": {"run": json.loads(line)["run"], "ranks": []}, "entered_at": datetime.now(UTC).isoformat()}
        started, busy = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(sys.stderr):  # where Summarize logs
            summary = handler(event, None)
        figures = {
            "seconds": time.perf_counter() - started,
            "cpu_s": time.process_time() - busy,
            "peak_mb": process.peak_rss_mb(),
        }
        print(json.dumps({"figures": figures, "summary": summary}), flush=True)


if __name__ == "__main__":
    main()
