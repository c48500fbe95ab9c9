from scripts.bench.inference.picture import best_of


def test_each_contender_is_drawn_at_its_best():
    def entry(name, batch_size, rate):
        figures = {"samples_per_s": {"median": rate}}
        return {"contender": name, "batch_size": batch_size, "figures": figures}

    best = best_of([entry("a", 1, 5), entry("b", 1, 9), entry("a", 2, 7), entry("b", 2, 8)])
    assert [(one["contender"], one["batch_size"]) for one in best] == [("a", 2), ("b", 1)]
