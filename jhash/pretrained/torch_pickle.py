"""Reads the pickle of a PyTorch checkpoint as data: nothing that it names is imported or called.

A pickle is a program for a small machine with a stack. Python's own machine can call whatever the
program names, and some bytes make it take gigabytes of memory, or never end. This one knows the
instructions by which dicts of tensors are made. It makes dicts, lists, tuples, numbers, text and
descriptions of tensors.
"""

import io
import pickletools
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jhash.errors import InputError
from jhash.system import text

_DTYPES = {
    "torch FloatStorage": np.float32,
    "torch DoubleStorage": np.float64,
    "torch HalfStorage": np.float16,
    "torch BFloat16Storage": ml_dtypes.bfloat16,
    "torch LongStorage": np.int64,
    "torch IntStorage": np.int32,
    "torch ShortStorage": np.int16,
    "torch CharStorage": np.int8,
    "torch ByteStorage": np.uint8,
    "torch BoolStorage": np.bool_,
}
# More than a checkpoint of ten thousand tensors has. A list takes a hundred bytes, and its
# instruction is one.
_MAX_INSTRUCTIONS = 2**21
_MAX_AXES = 64  # As NumPy.


class Storage(NamedTuple):
    """Bytes of the file that one or more tensors share."""

    key: str
    dtype: np.dtype


class Tensor(NamedTuple):
    """A view of a storage; offset and strides are counted in elements, none is negative."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Pairs(list):
    """The (key, value) pairs of a dict. A key is not hashed: some take forever."""


class _Name(str):
    """Something that the file names, `module name`; it is not imported."""

    __slots__ = ()


_MARK = object()


class Reader:
    """Reads pickles, one after the other.

    Attributes:
      storages: The storages that they refer to, by key.
    """

    def __init__(self, file: io.BytesIO):
        """Reads from the current position of the file."""
        self.storages: dict[str, Storage] = {}
        self._file = file
        self._left = _MAX_INSTRUCTIONS
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Reads one pickle.

        Returns:
          Its value. Dicts are `Pairs`, and sets are lists or tuples.

        Raises:
          InputError: It is no pickle of tensors in dicts and lists.
          Exception: It is damaged; an exception of any kind.
        """
        self._stack, self._memo = [], {}
        for instruction, argument, _ in pickletools.genops(self._file):
            if instruction.name == "STOP":
                break
            self._run(instruction.name, argument)
            self._left -= 1
            if self._left < 0:
                raise InputError(f"its pickles have more than {_MAX_INSTRUCTIONS:,} instructions")
        (value,) = self._stack
        return value

    def _run(self, name: str, argument: Any) -> None:
        """Executes an instruction."""
        match name:
            case "PROTO" | "FRAME":
                pass
            case "INT" | "BININT" | "BININT1" | "BININT2" | "LONG" | "LONG1" | "LONG4":
                self._stack.append(argument)
            case "FLOAT" | "BINFLOAT" | "STRING" | "BINSTRING" | "SHORT_BINSTRING":
                self._stack.append(argument)
            case "UNICODE" | "SHORT_BINUNICODE" | "BINUNICODE" | "BINUNICODE8":
                self._stack.append(argument)
            case "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8":
                self._stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self._stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "MARK":
                self._stack.append(_MARK)
            case "EMPTY_DICT":
                self._stack.append(Pairs())
            case "EMPTY_LIST" | "EMPTY_SET":
                self._stack.append([])
            case "EMPTY_TUPLE":
                self._stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._stack.append(tuple(self._pop(int(name[-1]))))
            case "TUPLE" | "FROZENSET":
                self._stack.append(tuple(self._pop_to_mark()))
            case "LIST":
                self._stack.append(self._pop_to_mark())
            case "DICT":
                self._stack.append(_pairs_of(self._pop_to_mark()))
            case "APPEND":
                self._extend(self._pop(1))
            case "APPENDS" | "ADDITEMS":
                self._extend(self._pop_to_mark())
            case "SETITEM":
                self._set(self._pop(2))
            case "SETITEMS":
                self._set(self._pop_to_mark())
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._top()
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._top()
            case "GET" | "BINGET" | "LONG_BINGET":
                self._stack.append(self._memo[argument])
            case "GLOBAL":
                self._stack.append(_Name(argument))
            case "STACK_GLOBAL":
                self._stack.append(_Name(" ".join(self._pop(2))))
            case "BINPERSID":
                self._stack.append(self._storage(*self._pop(1)))
            case "REDUCE":
                function, arguments = self._pop(2)
                # One that is used many times is copied many times.
                self._left -= sum(len(a) for a in arguments if isinstance(a, list | tuple))
                self._stack.append(_call(function, arguments))
            case "BUILD":  # It gives a dict further attributes, such as the versions of modules.
                self._pop(1)
                if not isinstance(self._top(), Pairs):
                    raise InputError(f"it sets attributes of a {type(self._top()).__name__}")
            case _:
                raise InputError(f"it has the instruction {name}")

    def _top(self) -> Any:
        return self._pop(1, keep=True)[0]

    def _pop(self, count: int, keep: bool = False) -> list[Any]:
        """Takes values from the top of the stack, or only looks at them."""
        values = self._stack[-count:]
        if len(values) < count or any(value is _MARK for value in values):
            raise InputError("its pickle takes more than it has made")
        if not keep:
            del self._stack[-count:]
        return values

    def _pop_to_mark(self) -> list[Any]:
        """Takes all values above the uppermost mark, and the mark."""
        values = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _extend(self, values: list[Any]) -> None:
        if type(self._top()) is not list:
            raise InputError(f"it appends to a {type(self._top()).__name__}")
        self._top().extend(values)

    def _set(self, values: list[Any]) -> None:
        if not isinstance(self._top(), Pairs):
            raise InputError(f"it sets items of a {type(self._top()).__name__}")
        self._top().extend(_pairs_of(values))

    def _storage(self, description: Any) -> Storage:
        """Returns the storage that the file describes by a tuple.

        The tuple is ("storage", type, key, location, size) since PyTorch 1.6. Before, it had one
        more element, which described a view.
        """
        kind, dtype, key = description[:3]
        if kind != "storage" or (len(description) > 5 and description[5] is not None):
            kind = kind if type(kind) is str else type(kind).__name__
            raise InputError(f"it refers to data of the unknown kind {text.shortened(kind)!r}")
        # The text of a tuple of tuples would take forever.
        if type(key) not in (str, int):
            raise InputError(f"it names data by a {type(key).__name__}")
        _check_name(dtype, _DTYPES)
        storage = Storage(str(key), np.dtype(_DTYPES[dtype]))
        if self.storages.setdefault(storage.key, storage) != storage:
            raise InputError(f"it has two types of data {text.shortened(storage.key)}")
        return storage


def _pairs_of(values: list[Any]) -> Pairs:
    return Pairs(zip(values[::2], values[1::2], strict=True))


def _call(function: Any, arguments: Any) -> Any:
    """Makes what a function that the file names would make."""
    _check_name(function, _FUNCTIONS)
    if not isinstance(arguments, tuple):
        raise InputError(f"it calls {_dotted(function)} without arguments")
    return _FUNCTIONS[function](*arguments)


def _check_name(name: Any, allowed: Any) -> None:
    if not isinstance(name, _Name) or name not in allowed:
        raise InputError(
            f"it names {_dotted(name)}"
            if isinstance(name, _Name)
            else f"it uses a {type(name).__name__} as a name"
        )


def _dotted(name: str) -> str:
    return text.shortened(name.replace(" ", "."))


def _ordered_dict(items: Any = ()) -> Pairs:
    return Pairs((key, value) for key, value in items)


def _rebuild_tensor(storage, offset, shape, strides, *_) -> Tensor:
    tensor = Tensor(storage, offset, tuple(shape[:_MAX_AXES]), tuple(strides[:_MAX_AXES]))
    counts = (tensor.offset, *tensor.shape, *tensor.strides)
    whole = all(type(count) is int and count >= 0 for count in counts)
    if type(storage) is not Storage or not whole or len(tensor.shape) != len(tensor.strides):
        raise InputError("a tensor has no storage, or an offset, shape or stride below 0")
    return tensor


def _rebuild_parameter(tensor, *_) -> Any:
    return tensor


_FUNCTIONS = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
}
