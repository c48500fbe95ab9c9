"""What `cosmicai infer` measured, under the keys of the published `Results.json`. No I/O."""

from lambda_image.metrics import NMAD_FACTOR, Accuracy
from lambda_image.results import Work

PUBLISHED_FACTOR = 1.48  # by which the published `Precision` multiplies


def results_json(
    work: Work, accuracy: Accuracy, *, batch_size: int, device: str, peak_rss_mb: float
) -> dict[str, float | int | str | None]:
    """Make the published keys, with the meaning that they had there (docs/results.md).

    Args:
        work: What was done.
        accuracy: How good the predictions are.
        batch_size: Galaxies in a full batch.
        device: Where the engine computed.
        peak_rss_mb: The largest memory of the process, in MB of 2**20 bytes.
    """
    seconds, on_gpu = work.inference_s, device == "cuda"
    nmad = accuracy.nmad
    return {
        "total cpu time (second)": 0.0 if on_gpu else seconds,
        "total gpu time (second)": seconds if on_gpu else 0.0,
        "execution time per batch (second)": seconds / work.batches if work.batches else 0.0,
        "cpu memory (MB)": peak_rss_mb,
        "gpu memory (MB)": None if on_gpu else 0.0,
        "throughput(bps)": work.bits / seconds if seconds else 0.0,
        "batch size": batch_size,
        "number of batches": work.batches,
        "device": device,
        "MAE": accuracy.mae,
        "MSE": accuracy.mse,
        "Bias": accuracy.bias,
        "Precision": None if nmad is None else nmad * PUBLISHED_FACTOR / NMAD_FACTOR,
        "R2": accuracy.r2,
    }
