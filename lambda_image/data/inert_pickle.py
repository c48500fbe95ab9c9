"""An interpreter of pickles that has nothing to call: what a pickle names stays a name.

A pickle is a program for a stack machine. Python's own machine imports and calls whatever the program names; this one
knows the same instructions and builds plain data only:

1. A class or function that the pickle names becomes an `Inert` object, and so does each call of one. It holds the name,
   the arguments and the state, and it can do nothing. Nothing is looked up, imported, called or set, whatever the name.
2. The exceptions are containers (OrderedDict, defaultdict, set, frozenset), which become plain ones here, and the
   `makers` that the caller gives, which must take arguments of any type.
3. A key of a dict or set is hashed only if that takes no longer than reading it. Any other key, as a tuple that holds
   tuples, is wrapped and compared by identity.
4. Work and memory are bounded by the length of the pickle and by MAX_STEPS. Instructions copy nothing that others have
   built, except for containers that are made of lists, whose items count as steps. The machine does not recurse.
"""

import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any

from lambda_image.data.file_content import FormatError

MAX_STEPS = 1_000_000  # the published checkpoint takes 56,000; a second does about three million
MAX_ARGUMENTS = 16  # of what a maker takes
MAX_NAME = 1_000  # characters of a module or of a name in it
MAX_SHOWN = 200
MAX_KEY = 2**60  # of integer keys: beyond the modulus of Python's hash, many integers can be found that have one hash

FETCH_AGAIN = "fetch it again, or save it again with torch.save"


class ArchiveError(FormatError):
    """The file is no archive of the kind that is read here; the message says what is wrong, not in which file."""


class ProgramError(ArchiveError):
    """The archive is a program and no data: loading it would execute what it says."""


class Inert:
    """Stands for what the pickle calls `name`: a class, a function, or an object that one of them made."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple[Any, ...] = ()) -> None:
        self.name = name
        self.args = args
        self.state: dict[Any, Any] = {}


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    """Text from a file, fit for a message of one line."""
    return text[:limit] if text[:limit].isprintable() else ascii(text[:limit])


def not_allowed(name: str, remedy: str) -> ArchiveError:
    return ArchiveError(f"it names {shown(name)}, which is not allowed here and was not executed: {remedy}")


class Interpreter:
    """Runs the pickle that starts at byte `start` of `data`; `end` is the byte behind it once it has run."""

    def __init__(
        self,
        data: bytes,
        start: int = 0,
        makers: Mapping[str, Callable[..., object]] | None = None,
        persistent: Callable[[object], object] | None = None,
    ) -> None:
        self.end = start
        self._data = data
        self._makers = makers or {}
        self._persistent = persistent
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []  # the stacks below each mark
        self._memo: dict[int, Any] = {}
        self._copied = 0

    def run(self) -> object:
        """Raises ArchiveError."""
        data, steps = self._data, STEPS
        try:
            for _ in range(MAX_STEPS):
                code = data[self.end]
                self.end += 1
                if code == STOP:
                    return self._stack.pop()
                if code not in steps:
                    raise ArchiveError(
                        f"its pickle holds the opcode {_opcode_name(code)}, which no tensor needs: {FETCH_AGAIN}"
                    )
                steps[code](self)
        except (LookupError, ValueError, TypeError, struct.error) as error:
            if self.end >= len(data) or isinstance(error, struct.error):
                raise ArchiveError("its pickle is cut off: fetch it again") from error
            where = f"its pickle is malformed at byte {self.end:,} ({type(error).__name__})"
            raise ArchiveError(f"{where}: {FETCH_AGAIN}") from error
        raise _too_many_steps()

    # --- reading

    def _take(self, size: int) -> bytes:
        start, self.end = self.end, self.end + size
        if self.end > len(self._data):
            raise ArchiveError("its pickle is cut off: fetch it again")
        return self._data[start : self.end]

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _line(self) -> str:
        end = self._data.find(b"\n", self.end)
        line = self._take((end if end >= 0 else len(self._data)) + 1 - self.end)
        return line[:-1].decode()

    def _marked(self) -> list[Any]:
        items, self._stack = self._stack, self._outer.pop()
        return items

    # --- what instructions do

    def _mark(self) -> None:
        self._outer.append(self._stack)
        self._stack = []

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._marked()

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _global(self) -> None:
        self._name(self._line(), self._line())

    def _stack_global(self) -> None:
        name = self._stack.pop()
        self._name(self._stack.pop(), name)

    def _name(self, module: object, name: object) -> None:
        if not (isinstance(module, str) and isinstance(name, str)) or max(len(module), len(name)) > MAX_NAME:
            raise ArchiveError(f"its pickle names what cannot be a name: {FETCH_AGAIN}")
        self._stack.append(Inert(f"{module}.{name}"))

    def _reduce(self) -> None:
        arguments = self._stack.pop()
        self._call(self._stack.pop(), arguments)

    def _new_with_keywords(self) -> None:
        self._stack.pop()
        self._reduce()

    def _call(self, function: object, arguments: object) -> None:
        if not (isinstance(function, Inert) and isinstance(arguments, tuple)):
            raise ArchiveError(f"its pickle calls what is no name: {FETCH_AGAIN}")
        name = function.name
        if name in CONTAINERS:
            kind = CONTAINERS[name]
            self._stack.append(self._container(kind, arguments) if arguments else kind())
        elif (maker := self._makers.get(name)) is None:
            self._stack.append(Inert(name, arguments))
        elif len(arguments) > MAX_ARGUMENTS:
            raise ArchiveError(f"its pickle gives {shown(name)} {len(arguments):,} arguments: {FETCH_AGAIN}")
        else:
            self._stack.append(maker(*arguments))

    def _container(self, kind: type, arguments: tuple[Any, ...]) -> object:
        items = arguments[0]
        if not isinstance(items, list):  # nothing yet, or the factory of a defaultdict
            return kind()
        self._copied += len(items)
        if self._copied > MAX_STEPS:
            raise _too_many_steps()
        if kind is dict:
            return {_key(key): value for key, value in items}
        return kind(map(_key, items))

    def _build(self) -> None:
        state = self._stack.pop()
        if isinstance(state, tuple) and len(state) == 2:  # with what lies in slots
            state = state[0]
        target = self._stack[-1]
        if type(target) in STATELESS:
            raise ArchiveError(f"its pickle gives a state to a {type(target).__name__}: {FETCH_AGAIN}")
        if isinstance(target, Inert) and isinstance(state, dict):
            target.state = state

    def _persistent_id(self) -> None:
        if self._persistent is None:
            raise ArchiveError(f"its pickle holds a reference where none can be: {FETCH_AGAIN}")
        self._stack.append(self._persistent(self._stack.pop()))

    def _marked_tuple(self) -> None:
        items = self._marked()
        self._stack.append(tuple(items))

    def _marked_frozenset(self) -> None:
        items = self._marked()
        self._stack.append(frozenset(map(_key, items)))

    def _fill(self, items: list[Any], kind: type) -> None:
        target = self._stack[-1]
        if isinstance(target, Inert):  # its class may derive from a container
            return
        if not isinstance(target, kind):
            filled = f"its pickle fills a {type(target).__name__} as if it were a {kind.__name__}"
            raise ArchiveError(f"{filled}: {FETCH_AGAIN}")
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(map(_key, items))
        elif isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[_key(key)] = value


def _key(value: object) -> object:
    if value is None or type(value) in (str, bytes, bool, float, Inert):
        return value
    if type(value) is int and -MAX_KEY < value < MAX_KEY:
        return value
    return Inert("a key", (value,))


def _too_many_steps() -> ArchiveError:
    return ArchiveError(f"its pickle takes more than {MAX_STEPS:,} steps: save what is needed alone with torch.save")


def _opcode_name(code: int) -> str:
    return next((name for name in pickle.__all__ if getattr(pickle, name) == bytes([code])), f"0x{code:02x}")


Step = Callable[[Interpreter], object]


def _constant(value: object) -> Step:
    return lambda machine: machine._stack.append(value)


def _empty(kind: type) -> Step:
    return lambda machine: machine._stack.append(kind())


def _unsigned(size: int) -> Step:
    return lambda machine: machine._stack.append(machine._number(size))


def _unpacked(form: str) -> Step:
    return lambda machine: machine._stack.append(struct.unpack(form, machine._take(struct.calcsize(form)))[0])


def _sized(prefix: int, convert: Callable[[bytes], object]) -> Step:
    return lambda machine: machine._stack.append(convert(machine._take(machine._number(prefix))))


def _short_put(machine: Interpreter) -> None:
    machine._memo[machine._data[machine.end]] = machine._stack[-1]
    machine.end += 1


def _long_put(machine: Interpreter) -> None:
    machine._memo[LONG.unpack_from(machine._data, machine.end)[0]] = machine._stack[-1]
    machine.end += 4


def _short_get(machine: Interpreter) -> None:
    machine._stack.append(machine._memo[machine._data[machine.end]])
    machine.end += 1


def _long_get(machine: Interpreter) -> None:
    machine._stack.append(machine._memo[LONG.unpack_from(machine._data, machine.end)[0]])
    machine.end += 4


def _tuple(size: int) -> Step:
    def step(machine: Interpreter) -> None:
        if len(machine._stack) < size:
            raise IndexError
        machine._stack[-size:] = [tuple(machine._stack[-size:])]

    return step


def _fill_one(kind: type) -> Step:
    size = 2 if kind is dict else 1

    def step(machine: Interpreter) -> None:
        items = machine._stack[-size:]
        del machine._stack[-size:]
        machine._fill(items, kind)

    return step


def _fill_many(kind: type) -> Step:
    return lambda machine: machine._fill(machine._marked(), kind)


def _utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _latin1(data: bytes) -> str:
    return data.decode("latin-1")


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


CONTAINERS: dict[str, type] = {
    "collections.OrderedDict": dict,
    "collections.defaultdict": dict,
    "builtins.set": set,
    "__builtin__.set": set,  # its name in protocols before 3
    "builtins.frozenset": frozenset,
    "__builtin__.frozenset": frozenset,
}
STATELESS = {tuple, str, bytes, int, float, bool, type(None)}
STOP = pickle.STOP[0]
LONG = struct.Struct("<I")
# What torch.save writes in protocols 2 to 5, from Python 2 also. Not among them: OBJ, INST, EXT*, huge integers, text.
STEPS: dict[int, Step] = {
    code[0]: step
    for code, step in {
        pickle.PROTO: lambda machine: machine._take(1),
        pickle.FRAME: lambda machine: machine._take(8),
        pickle.MARK: Interpreter._mark,
        pickle.POP: Interpreter._pop,
        pickle.POP_MARK: Interpreter._marked,
        pickle.NONE: _constant(None),
        pickle.NEWTRUE: _constant(True),
        pickle.NEWFALSE: _constant(False),
        pickle.EMPTY_TUPLE: _constant(()),
        pickle.EMPTY_LIST: _empty(list),
        pickle.EMPTY_DICT: _empty(dict),
        pickle.EMPTY_SET: _empty(set),
        pickle.BININT: _unpacked("<i"),
        pickle.BININT1: _unsigned(1),
        pickle.BININT2: _unsigned(2),
        pickle.BINFLOAT: _unpacked(">d"),
        pickle.LONG1: _sized(1, _signed),
        pickle.SHORT_BINUNICODE: _sized(1, _utf8),
        pickle.BINUNICODE: _sized(4, _utf8),
        pickle.BINUNICODE8: _sized(8, _utf8),
        pickle.SHORT_BINSTRING: _sized(1, _latin1),
        pickle.BINSTRING: _sized(4, _latin1),
        pickle.SHORT_BINBYTES: _sized(1, bytes),
        pickle.BINBYTES: _sized(4, bytes),
        pickle.BINBYTES8: _sized(8, bytes),
        pickle.BYTEARRAY8: _sized(8, bytes),
        pickle.TUPLE: Interpreter._marked_tuple,
        pickle.TUPLE1: _tuple(1),
        pickle.TUPLE2: _tuple(2),
        pickle.TUPLE3: _tuple(3),
        pickle.APPEND: _fill_one(list),
        pickle.APPENDS: _fill_many(list),
        pickle.SETITEM: _fill_one(dict),
        pickle.SETITEMS: _fill_many(dict),
        pickle.ADDITEMS: _fill_many(set),
        pickle.FROZENSET: Interpreter._marked_frozenset,
        pickle.BINPUT: _short_put,
        pickle.LONG_BINPUT: _long_put,
        pickle.MEMOIZE: Interpreter._memoize,
        pickle.BINGET: _short_get,
        pickle.LONG_BINGET: _long_get,
        pickle.GLOBAL: Interpreter._global,
        pickle.STACK_GLOBAL: Interpreter._stack_global,
        pickle.REDUCE: Interpreter._reduce,
        pickle.NEWOBJ: Interpreter._reduce,
        pickle.NEWOBJ_EX: Interpreter._new_with_keywords,
        pickle.BUILD: Interpreter._build,
        pickle.BINPERSID: Interpreter._persistent_id,
    }.items()
}
