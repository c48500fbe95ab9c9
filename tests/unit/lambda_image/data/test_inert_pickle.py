"""Pickles of plain data as Python reads them; of anything else, names; and never more work than the pickle is long."""

import argparse
import collections
import datetime
import enum
import functools
import importlib
import pathlib
import pickle
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_image.data.inert_pickle import MAX_STEPS, ArchiveError, Inert, Interpreter


@functools.cache
def values(protocol: int) -> st.SearchStrategy[object]:
    """Nested plain data. In protocol 2, bytes are written as a call."""
    keys = st.none() | st.booleans() | st.integers(-(2**59), 2**59) | st.text() | st.floats(allow_nan=False)
    keys = keys | st.binary() if protocol > 2 else keys
    return st.recursive(
        keys | st.integers(-(2**100), 2**100),
        lambda inner: (
            st.lists(inner)
            | st.lists(inner).map(tuple)
            | st.dictionaries(keys, inner)
            | st.sets(keys)
            | st.frozensets(keys)
            | st.dictionaries(keys, inner).map(collections.OrderedDict)
            | st.dictionaries(keys, inner).map(lambda items: collections.defaultdict(list, items))
        ),
    )


PROTOCOLS = [2, 3, 4, 5]


class Colour(enum.Enum):
    RED = "red"


class Slotted:
    __slots__ = ("x",)

    def __init__(self) -> None:
        self.x = 1


class Keywords:
    """Pickled by NEWOBJ_EX in protocol 4, which takes keywords."""

    def __new__(cls, *, x: int = 0) -> "Keywords":
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, int]]:
        return (), {"x": 1}


class Listed(list[int]):
    pass


THINGS = {
    "namespace": argparse.Namespace(lr=0.1, path=pathlib.Path("/tmp/x")),
    "path": pathlib.PurePosixPath("a/b"),
    "windows": pathlib.PureWindowsPath("C:/a"),
    "numpy scalar": np.float64(0.5),
    "numpy array": np.arange(6.0).reshape(2, 3),
    "numpy text": np.array(["a", "bc"]),
    "numpy objects": np.array([{}, None], dtype=object),
    "numpy dtype": np.dtype("float32"),
    "numpy state": np.random.default_rng(1).bit_generator.state,
    "numpy generator": np.random.default_rng(1),
    "datetime": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
    "enum": Colour.RED,
    "partial": functools.partial(int, base=2),
    "counter": collections.Counter("abca"),
    "deque": collections.deque([1, 2], 3),
    "keyed by tuples": {(0, "a"): 1, ((1, 2), 3): 2, Colour.RED: 3, pathlib.PurePosixPath("k"): 4, (): 5},
    "set of tuples": {(1, 2), (3,)},
    "slots": Slotted(),
    "keywords": Keywords(),
    "list": Listed([1, 2]),
    "class": Slotted,
    "function": importlib.import_module,
    "method": "text".upper,
    "bytearray": bytearray(b"abc"),
    "complex": 1j,
}


def run(pickled: bytes) -> object:
    return Interpreter(pickled).run()


def same(ours: object, theirs: object) -> bool:
    """Equal, types included, except that the containers of the standard library are plain ones here."""
    if isinstance(theirs, dict):
        assert type(ours) is dict
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, (list, tuple)):
        return (
            type(ours) is type(theirs)
            and len(ours) == len(theirs)
            and all(same(a, b) for a, b in zip(ours, theirs, strict=True))
        )
    return type(ours) is type(theirs) and ours == theirs


@given(st.sampled_from([2, 3]), st.data())
@settings(deadline=None, max_examples=40)
def test_plain_data_are_read_as_python_reads_them(first, data):
    value = data.draw(values(first))
    for protocol in range(first, 6):
        assert same(run(pickle.dumps(value, protocol)), value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_long_values_are_read(protocol):
    value = ["x" * 300, "é" * 70_000, tuple(range(300)), 2**1000, -(2**31), 2**31 - 1, list(range(3000))]
    assert same(run(pickle.dumps(value, protocol)), value)


def test_what_refers_to_itself_is_read():
    value: list[object] = [1]
    value.append((value,))
    ours = run(pickle.dumps(value, 2))
    assert ours[1][0] is ours


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("thing", THINGS)
def test_any_object_is_read_and_so_is_what_follows(thing, protocol):
    value = {"before": 1, "thing": THINGS[thing], "list": [THINGS[thing]], "after": [2, 3]}
    ours = run(pickle.dumps(value, protocol))
    assert (ours["before"], ours["after"]) == (1, [2, 3])
    assert len(ours) == 4


def test_an_object_keeps_its_name_arguments_and_state():
    ours = run(pickle.dumps(THINGS["namespace"], 2))
    assert (ours.name, ours.state["lr"]) == ("argparse.Namespace", 0.1)
    made, arguments = THINGS["namespace"].path.__reduce__()[:2]  # which differ between versions of Python
    found = ours.state["path"]
    assert (found.name, found.args) == (f"{made.__module__}.{made.__qualname__}", arguments)


# --- no trace

TRACED = """
import pathlib
pathlib.Path({trace!r}).touch()
class Thing:
    def __setstate__(self, state):
        pathlib.Path({trace!r}).touch()
    def __reduce__(self):
        return touch, ()
class Built(Thing):
    __reduce__ = object.__reduce__
    def __getstate__(self):
        return {{"a": 1}}
class Called(Thing):
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path({trace!r}),)
def touch():
    pathlib.Path({trace!r}).touch()
"""
PLACES: dict[str, Callable[[object], object]] = {
    "root": lambda thing: thing,
    "value": lambda thing: {"a": [(thing,)]},
    "key": lambda thing: {thing: 1},
    "key in a tuple": lambda thing: {(1, thing): 1},
    "in a set": lambda thing: {thing},
    "state": lambda thing: argparse.Namespace(a=thing),
    "arguments": lambda thing: functools.partial(int, thing),
    "factory": lambda thing: collections.defaultdict(type(thing), a=1),
}


@pytest.fixture
def traced(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[object, pathlib.Path]]:
    """A module that leaves a trace when it is imported and when anything in it is used."""
    trace = tmp_path / "trace"
    (tmp_path / "traced_module.py").write_text(TRACED.format(trace=str(trace)))
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("traced_module"), trace
    sys.modules.pop("traced_module", None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["Thing", "Built", "Called"])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_imported_or_called_wherever_it_stands(traced, place, kind, protocol):
    module, trace = traced
    pickled = pickle.dumps(PLACES[place](getattr(module, kind)()), protocol)
    del sys.modules["traced_module"]
    trace.unlink()
    run(pickled)
    assert not trace.exists()
    assert "traced_module" not in sys.modules
    pickle.loads(pickled)  # the same pickle leaves one in Python's machine
    assert trace.exists()


# --- no more work than the pickle is long


def doubled(levels: int, inmost: bytes = b")") -> bytes:
    """((...), (...)), each level twice the same: hashing it or comparing it takes 2^levels steps."""
    return inmost + b"q\x00h\x00\x86" * levels


# A list cannot be hashed, so that whoever tries ends at once. With an empty tuple he would not end.
@pytest.mark.parametrize("inmost", [b"]", b")"], ids=["list", "tuple"])
@pytest.mark.parametrize(
    "use",
    [
        lambda key: b"}" + key + b"Ns",
        lambda key: b"}(" + key + b"N" + key + b"Nu",
        lambda key: b"\x8f(" + key + b"\x90",
        lambda key: b"(" + key + b"\x91",
        lambda key: b"c__builtin__\nset\n(](" + key + b"etR",
        lambda key: b"ccollections\nOrderedDict\n(](" + key + b"N\x86etR",
    ],
    ids=["SETITEM", "SETITEMS", "ADDITEMS", "FROZENSET", "set", "OrderedDict"],
)
def test_a_key_of_doubled_tuples_is_not_hashed(use, inmost):
    assert len(run(b"\x80\x04" + use(doubled(60, inmost)) + b".")) in (1, 2)


def test_integers_of_one_hash_make_no_slow_dict():
    """Python's hash of an integer is its remainder by 2^61 - 1; 20,000 keys of one hash take minutes to insert."""
    keys = [(number << 61) - number for number in range(1, 20_001)]
    pickled = pickle.dumps(dict.fromkeys(range(20_000)), 2)
    assert len(run(pickled)) == 20_000
    items = b"".join(pickle.dumps(key, 2)[2:-1] + b"N" for key in keys)
    found = run(b"\x80\x02}(" + items + b"u.")
    assert len(found) == 20_000
    assert {type(key) for key in found} == {Inert}, "an integer of that hash is a key"


def test_steps_are_counted():
    with pytest.raises(ArchiveError, match="more than 1,000,000 steps"):
        run(b"\x80\x02" + b"N0" * (MAX_STEPS // 2) + b"N.")


def test_depth_needs_no_stack():
    run(b"\x80\x02" + b"]" * 30_000 + b"a" * 29_999 + b".")
    run(b"\x80\x02" + b")" + b"\x85" * 30_000 + b".")
    run(b"\x80\x02cm\nC\nq\x00" + b"h\x00" * 30_000 + b")" + b"R\x85" * 30_000 + b".")


@pytest.mark.parametrize("name", [b"c__builtin__\nset\n", b"ccollections\nOrderedDict\n"])
def test_copies_count_as_steps(name):
    """A list of n items is copied for six bytes; a thousand copies of a thousand times that would fill the memory."""
    items = b"(K\x01K\x02t" * 1000
    copies = b"h\x00h\x01\x85R0" * (MAX_STEPS // 1000 + 1)
    with pytest.raises(ArchiveError, match="more than 1,000,000 steps"):
        run(b"\x80\x02" + name + b"q\x000](" + items + b"eq\x010" + copies + b"N.")


def test_a_name_is_not_joined_again_and_again():
    with pytest.raises(ArchiveError, match="cannot be a name"):
        run(pickle.dumps("x" * 2000, 4)[:-1] + b"\x94h\x00\x93.")


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"", "cut off"),
        (b"\x80\x02", "cut off"),
        (b"\x80\x02X\xff\xff\xff\xff", "cut off"),
        (b"\x80\x02cos", "cut off|malformed"),
        (b"\x80\x02.N", "malformed"),
        (b"\x80\x02Na.", "malformed"),
        (b"\x80\x02)Na.", "fills a tuple as if it were a list"),
        (b"\x80\x02}(Nu.", "malformed"),
        (b"\x80\x02h\x05.", "malformed"),
        (b"\x80\x02e.", "malformed"),
        (b"\x80\x02\x85.", "malformed"),
        (b"\x80\x02)}b.", "gives a state to a tuple: fetch it again"),
        (b"\x80\x02N)R.", "calls what is no name"),
        (b"\x80\x02cm\nC\nNR.", "calls what is no name"),
        (b"\x80\x02NQ.", "reference where none can be"),
        (b"\x80\x02X\x01\0\0\0\xff.", "malformed"),
    ],
)
def test_malformed_pickles_are_refused(pickled, message):
    with pytest.raises(ArchiveError, match=message):
        run(pickled)


@given(st.sampled_from(PROTOCOLS), st.data())
@settings(deadline=None, max_examples=30)
def test_whatever_is_cut_is_refused(protocol, data):
    pickled = pickle.dumps(data.draw(values(protocol)), protocol)
    for end in range(0, len(pickled), len(pickled) // 100 + 1):
        with pytest.raises(ArchiveError):
            run(pickled[:end])
