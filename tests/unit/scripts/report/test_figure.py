import csv

import pytest

from scripts.report.figure import Figure, axis, bars, kind, tooltip

SPEC = {"mark": "point", "encoding": {"x": axis("a"), "y": kind("b", "B")}}
FIGURE = Figure("name", "Title", "Caption.", ("a", "b", "place"), [(1.5, 'x, "y"', 0), (None, "z", 1)], SPEC, 2)


def test_the_table_lacks_columns_that_only_place_marks():
    assert list(csv.reader(FIGURE.to_csv().splitlines())) == [["a", "b"], ["1.5", 'x, "y"'], ["", "z"]]


def test_a_picture_has_its_data():
    spec = FIGURE.to_vega_lite({"background": "white"})
    assert spec["data"] == {"values": [{"a": 1.5, "b": 'x, "y"', "place": 0}, {"a": None, "b": "z", "place": 1}]}
    assert (spec["title"], spec["mark"], spec["config"]) == ("Title", "point", {"background": "white"})


def test_a_table_is_no_picture():
    with pytest.raises(ValueError, match="name is a table"):
        Figure("name", "T", "C.", ("a",), []).to_vega_lite({})


def test_channels():
    assert axis("a", scale=1) == {"field": "a", "type": "quantitative", "title": "a", "scale": 1}
    assert kind("b", "B")["title"] == "B"
    assert tooltip("a", "b") == [{"field": "a"}, {"field": "b"}]
    assert bars(0) == bars(1) < bars(2)
