"""Reading the arrays of a checkpoint that `torch.save` wrote, without PyTorch.

Such a file is an uncompressed zip archive: ``<name>/data.pkl`` is a pickle that describes tensors, and each
``<name>/data/<key>`` holds the values of one storage, which tensors are views of. `RestrictedUnpickler` reads the
description. It does not use `pickle.Unpickler`, which hashes every key of a dict before `find_class` or any other hook
can refuse it: a key of a million nested tuples overflows the stack, and hashing one of forty tuples that each contain
the one before twice takes years. Nor can its memory be bounded, which one opcode makes grow to any size.

References
----------
.. [1] PyTorch, notes on serialization semantics: https://docs.pytorch.org/docs/stable/notes/serialization.html
.. [2] Python, `pickletools`: the opcodes of pickles.
"""

from __future__ import annotations

import math
import pickletools
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skbcnn.persistence.safe_files import DAMAGED, ModelFolderError, open_zip, read_member, too_large, wrap_read_errors

_WRITER = "torch.save"
_MAX_BYTES = 2**29  # of the file, which usually has 14 million
_MAX_MEMBERS = 2**12
_MAX_DESCRIPTION = 2**20  # bytes of data.pkl, which usually has 22 000
_MAX_NOTE = 2**10  # bytes of the members `version` and `byteorder`
_MAX_DIMENSIONS = 8
_FORMAT_VERSIONS = range(1, 11)  # that PyTorch itself reads
_BYTE_ORDERS = {b"little": "<", b"big": ">"}

# The names that the pickle of a state dict needs
_ORDERED_DICT, _REBUILD_TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
_STORAGES = {"torch FloatStorage": "f4", "torch DoubleStorage": "f8", "torch BoolStorage": "?"}


def read_state_dict(path: Path, entry: str) -> dict[str, np.ndarray]:
    """Return the arrays in an entry of a checkpoint by name.

    Parameters
    ----------
    path : pathlib.Path
        File that `torch.save` wrote: a dict, in which `entry` is a dict of dense tensors of float32, float64 or bool.
    entry : str
        Name of the entry, such as "model_state_dict". Others are not read.

    Returns
    -------
    arrays : dict of str to ndarray
        Copies in native byte order.

    Raises
    ------
    ModelFolderError
        If the file is damaged, has another layout, or names anything but tensors of these types.
    """
    with open_zip(path, _MAX_MEMBERS) as archive:
        n_bytes = path.stat().st_size
        if n_bytes > _MAX_BYTES:
            raise too_large(path, _MAX_BYTES)
        folder = _top_folder(archive.infolist(), n_bytes, path)
        description = read_member(archive, f"{folder}/data.pkl", _MAX_DESCRIPTION, path)
        with wrap_read_errors(path, _WRITER):
            byte_order = _byte_order(archive, folder, path)
            checkpoint = RestrictedUnpickler(description, path).load()
        tensors = checkpoint.get(entry) if isinstance(checkpoint, dict) else None
        if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
            raise ModelFolderError(f"{path} has no {entry}, a dict of tensors by name. Give SDSS-V's checkpoint.")
        _check_tensors(tensors, n_bytes, path)
        storages = {
            storage: _read_storage(archive, f"{folder}/data/{storage.key}", storage, path)
            for storage in {tensor.storage for tensor in tensors.values()}
        }
    return {name: _values(tensor, storages[tensor.storage], byte_order) for name, tensor in tensors.items()}


def _top_folder(members: Sequence[zipfile.ZipInfo], n_bytes: int, path: Path) -> str:
    """Return the folder that the members are in. Members that are compressed or overlap are refused."""
    if any(member.compress_type or member.file_size != member.compress_size for member in members):
        raise ModelFolderError(f"{path} is compressed, which {_WRITER} never does. {DAMAGED}")
    if sum(member.file_size for member in members) > n_bytes:
        raise ModelFolderError(f"{path} has members that overlap. {DAMAGED}")
    folders = [member.filename.removesuffix("/data.pkl") for member in members if member.filename.endswith("/data.pkl")]
    if len(folders) != 1:
        raise ModelFolderError(
            f"{path} is no file that {_WRITER} wrote: it has {len(folders)} members data.pkl, expected one. {DAMAGED}"
        )
    return folders[0]


def _byte_order(archive: zipfile.ZipFile, folder: str, path: Path) -> str:
    """Return the byte order of the storages, as NumPy writes it. Early files are little-endian and do not say so."""
    version = read_member(archive, f"{folder}/version", _MAX_NOTE, path)
    if int(version) not in _FORMAT_VERSIONS:
        raise ValueError(f"version {int(version)}, expected {_FORMAT_VERSIONS[0]} to {_FORMAT_VERSIONS[-1]}")
    if f"{folder}/byteorder" not in archive.NameToInfo:
        return "<"
    return _BYTE_ORDERS[read_member(archive, f"{folder}/byteorder", _MAX_NOTE, path)]


# Stand-ins for the objects that the pickle describes


@dataclass(frozen=True, slots=True)
class _Name:
    """One of the names that the pickle may use. It cannot be called and has no attributes that a pickle can set."""

    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    """Values of one type in the member ``data/<key>``."""

    key: str
    dtype: str
    n_values: int

    @property
    def n_bytes(self) -> int:
        return self.n_values * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class _Tensor:
    """View of a storage. Offset and strides are counted in values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.storage.dtype).itemsize


class _OrderedDict(dict):
    """Stand-in for `collections.OrderedDict`."""

    __slots__ = ()


def _storage(identifier: Any) -> _Storage:
    """Return the storage of a persistent id: ("storage", type, key, location, number of values)."""
    if type(identifier) is not tuple or len(identifier) != 5:
        raise TypeError("a persistent id is no tuple of 5 entries")
    kind, storage_type, key, location, n_values = identifier
    if type(kind) is not str or kind != "storage" or type(location) is not str:
        raise TypeError("a persistent id is not of a storage")
    if type(storage_type) is not _Name or storage_type.name not in _STORAGES:
        raise TypeError("a storage is of no known type")
    if type(key) is not str or not re.fullmatch(r"[0-9]{1,9}", key, re.ASCII):
        raise TypeError("the key of a storage is no number")
    return _Storage(key, _STORAGES[storage_type.name], _count(n_values))


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> _Tensor:
    """Return a tensor from the arguments of `torch._utils._rebuild_tensor_v2`. Gradients and hooks are not read."""
    if type(storage) is not _Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise TypeError("a tensor has no storage, shape or strides")
    if len(shape) != len(strides) or len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor has {len(shape)} dimensions and {len(strides)} strides")
    tensor = _Tensor(storage, _count(offset), tuple(map(_count, shape)), tuple(map(_count, strides)))
    end = _end(tensor)
    if end > storage.n_values:
        raise ValueError(f"a tensor of shape {tensor.shape} ends at value {end} of {storage.n_values}")
    return tensor


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("a size, stride or offset is no integer of at least 0")
    return value


def _end(tensor: _Tensor) -> int:
    """Return the position behind the last value. Values that share a place are refused."""
    if 0 in tensor.shape:
        if math.prod(size for size in tensor.shape if size) > _MAX_BYTES:  # NumPy cannot make such an array
            raise ValueError(f"a tensor without values has the shape {tensor.shape}")
        return tensor.offset
    last = 0  # of the dimensions with smaller strides
    for stride, size in sorted(zip(tensor.strides, tensor.shape, strict=True)):
        if size > 1 and stride <= last:
            raise ValueError(f"a tensor of shape {tensor.shape} and strides {tensor.strides} overlaps itself")
        last += (size - 1) * stride
    return tensor.offset + last + 1


class RestrictedUnpickler:
    """Interpreter of the opcodes that the pickle of a state dict consists of.

    It makes numbers, text, tuples, lists, dicts with simple keys, and the stand-ins of this module. It calls and
    imports nothing that a file names. Memory and time are proportional to the size of the pickle.

    Parameters
    ----------
    data : bytes
        Pickle, of bounded size.
    path : pathlib.Path
        File that the messages name.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        self._data, self._path = data, path
        self._stack: list[Any] = []
        self._outer_stacks: list[list[Any]] = []  # stacks below the marks
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Return the object that the pickle describes.

        Raises
        ------
        ModelFolderError
            If the pickle uses another name or opcode.
        Exception
            If it is malformed: one of those that `wrap_read_errors` turns into a ModelFolderError.
        """
        for opcode, argument, _ in pickletools.genops(self._data):
            if opcode.name == "STOP":
                return self._stack.pop()
            if opcode.name not in _OPCODES:
                raise self._refused(f"uses the opcode {opcode.name}")
            _OPCODES[opcode.name](self, argument)
        raise ValueError("the pickle has no end")  # pragma: no cover: genops raises before

    def _refused(self, reason: str) -> ModelFolderError:
        return ModelFolderError(
            f"{self._path} holds more than tensors: it {reason}, which is not read because it may run code. Ask for a "
            "file with a dict of tensors of float32, float64 and bool only."
        )

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _begin(self, _: Any) -> None:
        self._outer_stacks.append(self._stack)
        self._stack = []

    def _items(self) -> list[Any]:
        """Return and remove the values since the last mark."""
        items, self._stack = self._stack, self._outer_stacks.pop()
        return items

    def _pop(self, n_values: int) -> tuple[Any, ...]:
        """Return and remove the last values of the stack."""
        if n_values > len(self._stack):
            raise ValueError("a value is missing")
        items = self._stack[len(self._stack) - n_values :]
        del self._stack[len(self._stack) - n_values :]
        return tuple(items)

    def _extend_list(self, items: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise TypeError("items are appended to what is no list")
        self._stack[-1].extend(items)

    def _update_dict(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise TypeError("entries are set in what is no dict")
        keys = items[::2]
        if not all(type(key) is str or (type(key) is int and abs(key) < 2**31) for key in keys):
            raise TypeError("a key is neither text nor a small integer")
        self._stack[-1].update(zip(keys, items[1::2], strict=True))

    def _memoize(self, number: int) -> None:
        self._memo[number] = self._stack[-1]

    def _global(self, name: str) -> None:
        if name not in (_ORDERED_DICT, _REBUILD_TENSOR, *_STORAGES):
            raise self._refused(f"names {name[:80]!r}")
        self._push(_Name(name))

    def _reduce(self, _: Any) -> None:
        function, arguments = self._pop(2)
        name = function.name if type(function) is _Name else None
        if type(arguments) is not tuple or name not in (_ORDERED_DICT, _REBUILD_TENSOR):
            raise self._refused("calls what is no function of a state dict")
        if name == _REBUILD_TENSOR:
            self._push(_tensor(*arguments))
        elif arguments:
            raise TypeError("an OrderedDict is made with arguments")
        else:
            self._push(_OrderedDict())

    def _build(self, _: Any) -> None:
        """Skip the attributes of a state dict, which PyTorch's own modules alone need."""
        target, _ = self._pop(2)
        if type(target) is not _OrderedDict:
            raise self._refused("sets attributes")
        self._push(target)


_OPCODES: Mapping[str, Callable[[RestrictedUnpickler, Any], None]] = {
    "PROTO": lambda self, _: None,
    "GLOBAL": RestrictedUnpickler._global,
    "BINPERSID": lambda self, _: self._push(_storage(*self._pop(1))),
    "REDUCE": RestrictedUnpickler._reduce,
    "BUILD": RestrictedUnpickler._build,
    "MARK": RestrictedUnpickler._begin,
    "NONE": RestrictedUnpickler._push,
    "NEWTRUE": lambda self, _: self._push(True),
    "NEWFALSE": lambda self, _: self._push(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE"), RestrictedUnpickler._push),
    "EMPTY_TUPLE": lambda self, _: self._push(()),
    "TUPLE1": lambda self, _: self._push(self._pop(1)),
    "TUPLE2": lambda self, _: self._push(self._pop(2)),
    "TUPLE3": lambda self, _: self._push(self._pop(3)),
    "TUPLE": lambda self, _: self._push(tuple(self._items())),
    "EMPTY_LIST": lambda self, _: self._push([]),
    "APPEND": lambda self, _: self._extend_list(list(self._pop(1))),
    "APPENDS": lambda self, _: self._extend_list(self._items()),
    "EMPTY_DICT": lambda self, _: self._push({}),
    "SETITEM": lambda self, _: self._update_dict(list(self._pop(2))),
    "SETITEMS": lambda self, _: self._update_dict(self._items()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), RestrictedUnpickler._memoize),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda self, number: self._push(self._memo[number])),
}


# Values


def _check_tensors(tensors: Mapping[str, Any], max_bytes: int, path: Path) -> None:
    """Refuse what is no tensor, and tensors that together are larger than the file: many may share one storage."""
    for name, tensor in tensors.items():
        if type(tensor) is not _Tensor:
            raise ModelFolderError(f"{name[:80]} of {path} is no tensor of float32, float64 or bool. {DAMAGED}")
    n_bytes = sum(tensor.n_bytes for tensor in tensors.values())
    if n_bytes > max_bytes:
        raise ModelFolderError(f"{path} has tensors of {n_bytes} bytes, but holds only {max_bytes} bytes. {DAMAGED}")


def _read_storage(archive: zipfile.ZipFile, name: str, storage: _Storage, path: Path) -> bytes:
    data = read_member(archive, name, storage.n_bytes, path)
    if len(data) != storage.n_bytes:
        raise ModelFolderError(f"{name} of {path} has {len(data)} bytes, expected {storage.n_bytes}. {DAMAGED}")
    return data


def _values(tensor: _Tensor, data: bytes, byte_order: str) -> np.ndarray:
    """Return a copy of the values of a tensor, which are known to lie in the data."""
    dtype = np.dtype(byte_order + tensor.storage.dtype)
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    values = np.ndarray(tensor.shape, dtype, data, tensor.offset * dtype.itemsize, strides)
    return values.astype(dtype.newbyteorder("="), order="C")
