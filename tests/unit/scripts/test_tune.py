import argparse
import itertools
import json

import numpy as np
import pytest
import torch

from lambda_image.data.sizes import PUBLISHED
from lambda_image.errors import InvalidEvent, UsageError
from scripts.tune import Advice, Setting, add_arguments, advice_lines, advise, rate_of, run, usd_per_million


class Counting:
    device, parameters_mb, sizes = "cpu", 0.0, PUBLISHED

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict(self, images, magnitudes):
        self.sizes.append(len(images))
        return magnitudes[:, 0]


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(given)


def test_a_rate_counts_galaxies_over_the_time_that_passed():
    engine, clock = Counting(), itertools.count(step=0.5)  # each look takes half a second
    rate = rate_of(engine, np.zeros((8, 1)), np.zeros((8, 5)), 4, 2.0, lambda: next(clock))
    assert set(engine.sizes) == {4}
    assert rate == pytest.approx(sum(engine.sizes) / 2.5)


def test_of_settings_as_good_the_one_that_takes_less_is_advised():
    rates = {Setting(1, 64): 100.0, Setting(2, 64): 197.0, Setting(2, 512): 200.0, Setting(2, 8): 150.0}
    advice = advise(rates)
    assert advice == Advice(fastest=Setting(2, 64), cheapest=Setting(1, 64))
    words = " ".join(advice_lines(advice, rates))
    assert "2 threads, batches of 64: 197 galaxies/s (within 2% of the fastest, 2 threads, batches of 512" in words
    assert "1 thread, batches of 64, a Lambda of 1,769 MB" in words


def test_on_a_gpu_lambda_is_no_matter():
    rates = {Setting(1, 64): 100.0, Setting(1, 4096): 1000.0}
    words = " ".join(advice_lines(advise(rates), rates, on_lambda=False))
    assert "batches of 4096: 1,000 galaxies/s" in words
    assert "Lambda" not in words


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_told_at_once():
    with pytest.raises(InvalidEvent, match="a GPU is asked for"):
        run(arguments("--device", "cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch can use is here")
def test_a_gpu_is_measured(tmp_path):
    file = tmp_path / "tune.json"
    assert run(arguments("--device", "cuda", "--rounds", "1", "--json", str(file)), 0.001) == 0
    assert json.loads(file.read_text())["machine"]["gpu"]


def test_prices_are_lambdas():
    # 10,000 s on 1,769 MB = 17,275.4 GB-s
    assert usd_per_million(Setting(1, 1), 100.0) == pytest.approx(17_275.4 * 0.0000166667, rel=1e-5)
    assert usd_per_million(Setting(2, 1), 200.0) == pytest.approx(usd_per_million(Setting(1, 1), 100.0))


def test_it_runs_and_leaves_its_figures(tmp_path, capsys):
    file = tmp_path / "tune.json"
    assert run(arguments("--threads", "1", "--batch-sizes", "2,3", "--rounds", "2", "--json", str(file)), 0.001) == 0
    report = json.loads(file.read_text())
    assert [one["batch_size"] for one in report["settings"]] == [2, 3]
    assert all(len(one["rounds"]) == 2 for one in report["settings"])
    assert report["fastest"]["threads"] == 1
    assert "best here: 1 thread, batches of" in capsys.readouterr().out


@pytest.mark.parametrize(
    "given", [("--threads", "0"), ("--threads", "9999"), ("--batch-sizes", "8,many"), ("--rounds", "0")]
)
def test_what_cannot_be_measured_is_refused(given):
    with pytest.raises(UsageError, match=given[0]):
        run(arguments(*given))


def test_a_file_that_cannot_be_written_is_told_before_the_measurement(tmp_path, capsys):
    file = tmp_path / "none" / "tune.json"
    with pytest.raises(UsageError, match=r"--json .* in a folder that does not exist"):
        run(arguments("--threads", "1", "--batch-sizes", "2", "--rounds", "1", "--json", str(file)), 0.001)
    assert not capsys.readouterr().out
