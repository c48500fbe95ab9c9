"""The process in which one contender is measured. It reads what to do from stdin and answers on stdout, by lines."""

import json
import sys
from pathlib import Path
from typing import Any

from lambda_image import process
from lambda_image.data.partition import open_partition
from scripts.bench.inference.contenders import GEMM, Spec, gemm_gflops, make, samples_per_s


def main() -> None:
    spec = Spec(**json.loads(sys.argv[1]))
    if spec.name == GEMM:
        from scripts.bench.inference.flops import flops_per_sample  # PyTorch: for this one only

        _say({"flops_per_sample": flops_per_sample(spec.model)})
        for line in sys.stdin:
            _say({"gflops": gemm_gflops(spec.threads, json.loads(line)["seconds"], spec.device)})
        return
    predict = make(spec)
    stream = open_partition(Path(spec.partition))
    images = next(iter(stream.images(len(stream.magnitudes))))
    magnitudes = stream.magnitudes[:]
    predict(images[:1], magnitudes[:1])
    _say({"peak_mb": process.peak_rss_mb()})
    for line in sys.stdin:
        asked = json.loads(line)
        rate = samples_per_s(predict, images, magnitudes, asked["batch_size"], asked["seconds"])
        _say({"samples_per_s": rate, "peak_mb": process.peak_rss_mb()})


def _say(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main()
