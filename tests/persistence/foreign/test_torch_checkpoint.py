"""Arrays of PyTorch's checkpoints, read without PyTorch, and what is refused."""

import pickle
import struct
import sys
import time
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbcnn.persistence import ModelFolderError
from skbcnn.persistence.foreign import torch_checkpoint
from skbcnn.persistence.foreign.torch_checkpoint import read_state_dict
from skbcnn.persistence.safe_files import read_member
from tests.foreign_networks import Opcodes, Tensor, pickled, write_checkpoint

VALUES = np.arange(12, dtype=np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.pt"


def read(path, checkpoint, **options):
    """Write a checkpoint and read its state dict."""
    return read_state_dict(write_checkpoint(path, checkpoint, **options), "state")


# What is read


@pytest.mark.parametrize("byteorder", ["little", "big", None])
def test_values_of_each_type(path, byteorder):
    state = OrderedDict(
        single=VALUES.reshape(3, 4),
        double=np.linspace(0, 1, 5),
        boolean=np.array([True, False, True]),
        scalar=np.array(2.5),
        empty=np.zeros((0, 3)),
    )
    arrays = read(path, {"state": state}, byteorder=byteorder)
    assert list(arrays) == list(state)
    for name, expected in state.items():
        assert_array_equal(arrays[name], expected, strict=True)
        assert arrays[name].dtype.isnative
        assert arrays[name].flags.writeable


def test_views_of_a_storage(path):
    state = {
        "transposed": Tensor(VALUES, (4, 3), (1, 4)),
        "part": Tensor(VALUES, (2, 2), (4, 1), offset=5),
        "shared": Tensor(VALUES, key="0"),
        "one value with a wide stride": Tensor(VALUES, (1, 2), (1000, 1)),
    }
    arrays = read(path, {"state": state})
    assert_array_equal(arrays["transposed"], VALUES.reshape(3, 4).T)
    assert_array_equal(arrays["part"], [[5, 6], [9, 10]])
    assert_array_equal(arrays["shared"], VALUES)
    assert_array_equal(arrays["one value with a wide stride"], [[0, 1]])


def test_other_entries_may_be_plain_values(path):
    others = {"epoch": 7, "loss": [0.5, None, True], "groups": ({"lr": 1e-3, "params": [0, 1]},), "steps": {0: "a"}}
    arrays = read(path, others | {"state": {"weight": VALUES}})
    assert_array_equal(arrays["weight"], VALUES)


def test_real_checkpoint_needs_no_torch(shared_data):
    arrays = read_state_dict(shared_data / "sdssv_network" / "network.pt", "model_state_dict")
    assert arrays["input_mean"].shape == (7514,)
    assert arrays["aspcap_masks.0"].dtype == bool
    assert "torch" not in sys.modules


# What is refused


def call(name, *arguments):
    """Return opcodes that call a global, as `pickle` does it."""
    module, attribute = name.rsplit(".", 1)
    return Opcodes(f"c{module}\n{attribute}\n".encode() + pickled(arguments)[2:-1] + b"R")


HOSTILE = {
    "system": call("os.system", "touch owned"),
    "eval": call("builtins.eval", "open('owned', 'w')"),
    "getattr": call("builtins.getattr", call("builtins.__import__", "os"), "system"),
    "torch's own loader": call("torch.load", "other.pt"),
    "attribute of an allowed name": Opcodes(b"ccollections\nOrderedDict.update\n"),
    "class without arguments": Opcodes(b"(ios\nsystem\n"),
    "stack global": Opcodes(b"\x8c\x02os\x8c\x06system\x93"),
    "new object": Opcodes(b"ccollections\nOrderedDict\n)\x81"),
    "extension": Opcodes(b"\x82\x01"),
    "text as persistent id": Opcodes(b"Pstorage\n"),
    "call of a storage type": Opcodes(b"ctorch\nFloatStorage\n)R"),
    "call of a tensor": Opcodes(b"X\x01\x00\x00\x00a)R"),
    "call of a dict": Opcodes(b"})R"),
    "attributes of a name": Opcodes(b"ccollections\nOrderedDict\n}b"),
    "attributes of a dict": Opcodes(b"}}b"),
    "attributes by slots": Opcodes(b"ctorch._utils\n_rebuild_tensor_v2\nN}\x86b"),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_code_is_refused_and_not_run(path, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFolderError, match=r"holds more than tensors: it .* may run code"):
        read(path, {"state": {"weight": VALUES}, "other": value})
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_pickled_object_is_refused(path):
    class Evil:
        def __reduce__(self):
            return print, ("owned",)

    with pytest.raises(ModelFolderError, match="names '__builtin__ print'"):
        read(path, {}, index=pickle.dumps(Evil(), protocol=2))


def persistent(*identifier):
    return Opcodes(pickled(tuple(identifier))[2:-1] + b"Q")


FLOAT = Opcodes(b"ctorch\nFloatStorage\n")
REBUILD = "torch._utils._rebuild_tensor_v2"
STORAGE = persistent("storage", FLOAT, "0", "cpu", 12)
MALFORMED = {
    "persistent id of 4 entries": persistent("storage", FLOAT, "0", "cpu"),
    "persistent id that is text": Opcodes(b"X\x01\x00\x00\x00aQ"),
    "persistent id of another kind": persistent("module", FLOAT, "0", "cpu", 12),
    "type of a storage is text": persistent("storage", "FloatStorage", "0", "cpu", 12),
    "type of a storage is a function": persistent("storage", Opcodes(b"ccollections\nOrderedDict\n"), "0", "cpu", 1),
    "key that leads out": persistent("storage", FLOAT, "../../0", "cpu", 12),
    "location that is no text": persistent("storage", FLOAT, "0", 3, 12),
    "negative number of values": persistent("storage", FLOAT, "0", "cpu", -1),
    "boolean number of values": persistent("storage", FLOAT, "0", "cpu", True),
    "tensor without a storage": call(REBUILD, "0", 0, (12,), (1,), False, OrderedDict()),
    "tensor of two arguments": call(REBUILD, STORAGE, 0),
    "shape that is a list": call(REBUILD, STORAGE, 0, [12], (1,), False, OrderedDict()),
    "shape without strides": call(REBUILD, STORAGE, 0, (12,), (), False, OrderedDict()),
    "shape in floats": call(REBUILD, STORAGE, 0, (12.0,), (1,), False, OrderedDict()),
    "too many dimensions": call(REBUILD, STORAGE, 0, (1,) * 99, (1,) * 99, False, OrderedDict()),
    "negative size": Tensor(VALUES, (-1,), (1,)),
    "negative stride": Tensor(VALUES, (12,), (-1,), offset=11),
    "negative offset": Tensor(VALUES, (12,), (1,), offset=-1),
    "beyond the storage": Tensor(VALUES, (13,), (1,)),
    "offset beyond the storage": Tensor(VALUES, (2,), (1,), offset=11),
    "empty and too large for NumPy": Tensor(VALUES, (2**31 - 1, 2**31 - 1, 2**31 - 1, 0), (1, 1, 1, 1)),
    "empty beyond the storage": Tensor(VALUES, (0,), (1,), offset=13),
    "stretched": Tensor(VALUES, (10**6, 10**6), (0, 0)),
    "stretched within the storage": Tensor(VALUES, (3, 4), (0, 1)),
    "overlapping": Tensor(VALUES, (3, 4), (2, 1)),
    "2**62 values": Tensor(VALUES, (2**31 - 1, 2**31 - 1), (1, 1)),
    "dict with a tuple as key": Opcodes(b"}))s"),
    "dict with a large key": Opcodes(b"}J\x00\x00\x00\x80Ns"),
    "dict with a key without a value": Opcodes(b"}(Nu"),
    "entries of a list": Opcodes(b"](NNu"),
    "items of a tuple": Opcodes(b")(Ne"),
    "memo without entry": Opcodes(b"h\xff"),
    "mark missing": Opcodes(b"t"),
    "operand missing": Opcodes(b"(R"),
    "ordered dict with arguments": call("collections.OrderedDict", [("a", 1)]),
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_malformed_values_are_refused(path, value):
    with pytest.raises(ModelFolderError, match=r"checkpoint\.pt is not as torch\.save writes it \("):
        read(path, {"state": {"weight": VALUES, "other": value}})


MARK_TUPLES = b"h\x00h\x00\x86q\x00"  # a tuple that holds the one before twice
BOTTOMLESS = {
    "nested key": b"})" + b"\x85" * 300_000 + b"Ns.",
    "exponential key": b"})q\x00" + MARK_TUPLES * 100 + b"Ns.",
    "colliding keys": b"}("
    + b"".join(b"\x8a\x08" + struct.pack("<q", n * (2**61 - 1)) + b"N" for n in (1, 2, 3))
    + b"u.",
    "nested lists": b"]" * 200_000 + b"a" * 199_999 + b".",
    "list in itself": b"]q\x00h\x00a.",
    "marks": b"(" * 200_000 + b".",
    "large memo": b"Nr\xff\xff\xff\xff.",
    "long text": b"X\xff\xff\xff\xffabc",
    "long integer": b"\x8b\xff\xff\xff\x7f",
    "no end": b"N",
    "nothing": b"",
}


@pytest.mark.parametrize("index", BOTTOMLESS.values(), ids=BOTTOMLESS)
def test_bottomless_pickles_are_refused_at_once(path, index):
    started = time.process_time()
    with pytest.raises(ModelFolderError):
        read(path, {}, index=b"\x80\x02" + index)
    assert time.process_time() - started < 60


def test_description_has_a_limit(path):
    with pytest.raises(ModelFolderError, match=r"data\.pkl of .* is larger than 1048576 bytes"):
        read(path, {}, index=b"N" * (2**20 + 1))


@pytest.mark.parametrize("checkpoint", [[1], {}, {"state": [VALUES]}, {"state": {1: VALUES}}])
def test_checkpoint_without_a_state_dict(path, checkpoint):
    with pytest.raises(ModelFolderError, match="has no state, a dict of tensors by name"):
        read(path, checkpoint)


@pytest.mark.parametrize("value", [1.0, [0.0], FLOAT, STORAGE, {"nested": VALUES}])
def test_state_dict_of_other_values(path, value):
    with pytest.raises(ModelFolderError, match=r"other of .* is no tensor of float32, float64 or bool"):
        read(path, {"state": {"weight": VALUES, "other": value}})


def test_tensors_of_integers(path):
    with pytest.raises(ModelFolderError, match="names 'torch LongStorage'"):
        read(path, {"state": {"weight": np.arange(3)}})


def test_many_tensors_of_one_storage(path):
    """A short description may stand for any number of copies."""
    values = np.zeros(2**20, np.float32)
    state = {"0": values} | {str(n): Tensor(np.zeros(0, np.float32), (2**20,), (1,), 0, 2**20, key="0") for n in (1, 2)}
    with pytest.raises(ModelFolderError, match="has tensors of 12582912 bytes, but holds only"):
        read(path, {"state": state})


@pytest.mark.parametrize(("n_values", "message"), [(11, "larger than 44 bytes"), (13, "has 48 bytes, expected 52")])
def test_storage_of_another_size(path, n_values, message):
    with pytest.raises(ModelFolderError, match=message):
        read(path, {"state": {"weight": Tensor(VALUES, (11,), (1,), n_values=n_values)}})


def test_shared_storage_is_read_once(path, monkeypatch):
    names = []
    monkeypatch.setattr(torch_checkpoint, "read_member", lambda *args: names.append(args[1]) or read_member(*args))
    read(path, {"state": {"0": VALUES} | {str(n): Tensor(VALUES, (2,), (1,), key="0") for n in range(1, 4)}})
    assert names.count("network/data/0") == 1


def test_file_has_a_limit(path, monkeypatch):
    monkeypatch.setattr(torch_checkpoint, "_MAX_BYTES", 100)
    with pytest.raises(ModelFolderError, match=r"checkpoint\.pt is larger than 100 bytes"):
        read(path, {"state": {"weight": VALUES}})


def test_storage_that_is_missing(path):
    with pytest.raises(ModelFolderError, match="has no file network/data/7"):
        read(path, {"state": {"weight": Tensor(VALUES, key="7")}})


def rewrite(path, change):
    """Change the members of an archive, as (name, data) pairs."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in change(members):
            archive.writestr(name, data)


ARCHIVES = {
    "two descriptions": (lambda m: [*m, ("other/data.pkl", b"N.")], "has 2 members data.pkl"),
    "no description": (lambda m: m[1:], "has 0 members data.pkl"),
    "no version": (lambda m: [pair for pair in m if "version" not in pair[0]], "has no file network/version"),
    "future version": (lambda m: [*m[:-1], ("network/version", b"11\n")], "version 11, expected 1 to 10"),
    "byte order in words": (lambda m: [m[0], ("network/byteorder", b"middle"), *m[2:]], "KeyError: b'middle'"),
    "name that leads out": (lambda m: [*m, ("../evil", b"")], "leads out of the archive"),
}


@pytest.mark.parametrize(("change", "message"), ARCHIVES.values(), ids=ARCHIVES)
def test_archives_that_torch_does_not_write(path, change, message):
    write_checkpoint(path, {"state": {"weight": VALUES}})
    rewrite(path, change)
    with pytest.raises(ModelFolderError, match=message):
        read_state_dict(path, "state")


def test_compressed_archive(path):
    with pytest.raises(ModelFolderError, match=r"is compressed, which torch\.save never does"):
        read(path, {"state": {"weight": VALUES}}, compression=zipfile.ZIP_DEFLATED)


def test_members_that_overlap(path):
    """Each of two entries of the directory claims the values of all."""
    write_checkpoint(path, {"state": {"a": np.zeros(1000), "b": np.zeros(1000)}})
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist() if "/data/" in member.filename]
    for name in names:
        entry = data.rindex(b"PK\1\2", 0, data.rindex(name.encode()))
        struct.pack_into("<2I", data, entry + 20, 12_000, 12_000)
    path.write_bytes(data)
    with pytest.raises(ModelFolderError, match="members that overlap"):
        read_state_dict(path, "state")
