"""Pickles of strangers that hold nothing but plain data: dicts, lists, texts, numbers and arrays of bytes."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from osler.errors import InputError

# What protocols 0 to 2 need for plain data, and protocol 4's texts and frames; what makes objects only to name it.
_OPCODES = (
    *("PROTO", "FRAME", "MARK", "STOP", "POP", "POP_MARK", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
    *("GET", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2"),
    *("LONG", "LONG1", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE"),
    *("SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
    *("GLOBAL", "STACK_GLOBAL", "INST", "REDUCE", "BUILD"),
)
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")


def read_plain_pickle(path: Path) -> Any:
    """The data in a pickle of plain data; texts of Python 2 are bytes, arrays are of uint8.

    Nothing that the file names is imported or run: the few names that arrays of bytes need stand for functions of ours.
    Raises InputError for a file that asks for anything else, with its name, and for one that is no whole pickle.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return _finished(_Reader(path, data).load())
    except InputError:
        raise
    except Exception as error:  # errors of many types on a stranger's bytes
        reason = "it has more than that" if isinstance(error, KeyError) else str(error)[:80] or type(error).__name__
        raise InputError(f"{path} is not a whole pickle of plain data ({reason}); get the file again") from None


class _Bytes:
    """The type of an array of bytes, whose state says nothing more."""


class _Array:
    """An array while it is read."""

    values: np.ndarray[Any, Any]


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise ValueError(f"bytes as text in {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How Python 3 writes none of them."""
    return b""


class _Reader(pickle._Unpickler):
    """Python's unpickler, with few words. It is the one written in Python: in C a file can make it take all memory."""

    dispatch: ClassVar[dict[int, Any]] = {
        getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES
    }

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, path: Path, data: bytes):
        super().__init__(io.BytesIO(data), encoding="bytes")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        if module in _MULTIARRAY and name == "_reconstruct":
            return _reconstruct
        if (module, name) == ("numpy", "ndarray"):
            return None  # only told to _reconstruct
        if (module, name) == ("numpy", "dtype"):
            return self.dtype
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if module in ("__builtin__", "builtins") and name == "bytes":
            return _no_bytes
        raise InputError(
            f"{self.path} asks for {module}.{name}, which plain data does not need: nothing was run, but such a pickle "
            "can run any program; get the file from its publisher"
        )

    def dtype(self, name: Any, *_: Any) -> _Bytes:
        if name not in ("u1", b"u1", "|u1", b"|u1"):
            got = f" of type {name!r}" if isinstance(name, str | bytes) else ""
            raise InputError(f"{self.path} holds an array{got}, but only arrays of bytes (u1) are read")
        return _Bytes()

    def load_build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, _Array):
            _, shape, kind, fortran, raw = state
            if not isinstance(kind, _Bytes):
                raise ValueError("an array without a type")
            made.values = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")
        elif not isinstance(made, _Bytes):
            raise ValueError(f"a state for a {type(made).__name__}")

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(items)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | bytes):  # hashing nested tuples can exhaust the machine's stack
                raise ValueError(f"a key that is no text: {type(key).__name__}")
            self.stack[-1][key] = value

    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.BUILD[0]] = load_build


def _finished(data: Any) -> Any:
    """With arrays for what stood for them, at the top or in a dict there, whose keys become texts."""
    if isinstance(data, dict):  # not deeper: a dict may be in itself, or many times in others
        return {_text(key): value.values if isinstance(value, _Array) else value for key, value in data.items()}
    return data.values if isinstance(data, _Array) else data


def _text(key: str | bytes) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else key
