import numpy as np

from scripts.bench.inference.contenders import samples_per_s


def test_whole_batches_are_predicted_until_the_time_is_over():
    seen: list[int] = []

    def predict(images, magnitudes):
        assert len(images) == len(magnitudes)
        seen.append(int(images[0]))

    rate = samples_per_s(predict, np.arange(10), np.arange(10), batch_size=4, seconds=0)
    assert rate > 0
    assert seen == [0, 0]  # one to warm up, one that is timed
