from scripts.bench.commit.whole_run import figures_of


def test_the_figures_of_ranks_are_means():
    records = [
        {"phases": {"cold_start_s": start, "inference_s": 2.0}, "total_process_memory (MB)": peak}
        for start, peak in ((0.5, 130.0), (0.7, 140.0))
    ]
    assert figures_of({"wall_s": 3.0}, records) == {
        "run_s": 3.0,
        "cold_start_s": 0.6,
        "inference_s": 2.0,
        "peak_mb": 135.0,
    }
