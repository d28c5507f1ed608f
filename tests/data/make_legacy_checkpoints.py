#!/usr/bin/env python3
"""Writes tests/data/checkpoints/{legacy,tar,torch2}_*.pth and legacy.json beside them: PyTorch's older containers, and
the newest records.

Run it with a Python that has PyTorch 2 (2.15 made the committed files) and NumPy. The legacy streams come from
torch.save(..., _use_new_zipfile_serialization=False); their storage keys are addresses, which are numbered afresh in
the order of use so that the same input gives the same bytes. The tars of 2017 are written here byte by byte, in the
layout of the published resnet18-5c106cde.pth: no PyTorch since 0.1 writes them, but all still read them. Every file is
read back with torch.load, and what it gives is what legacy.json holds: for each file the tensors in order, with shape,
dtype and the SHA-256 of their dense little-endian bytes.
"""
import collections
import hashlib
import io
import json
import pathlib
import pickle
import pickletools
import struct
import tarfile

import numpy as np
import torch

OUT = pathlib.Path(__file__).parent / "checkpoints"
EXPECTED = {}
odict = collections.OrderedDict


def numbers(*shape, dtype=torch.float32, start=0.0):
    count = int(np.prod(shape)) if shape else 1
    return (torch.arange(count, dtype=torch.float64) * 0.37 - 1.5 + start).reshape(shape).to(dtype)


def dense_bytes(tensor):
    dense = tensor.detach().contiguous()
    return (dense.view(torch.int16) if dense.dtype == torch.bfloat16 else dense).numpy().tobytes()


def describe(name, tensor):
    return {"key": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."),
            "sha256_contiguous_le": hashlib.sha256(dense_bytes(tensor)).hexdigest()}


def expect(file, tensors, nested_under="", stripped_prefix=""):
    """`tensors` against what torch.load makes of the file, then into EXPECTED."""
    loaded = torch.load(OUT / file, weights_only=False)
    loaded = loaded[nested_under] if nested_under else loaded
    loaded = {k: v for k, v in loaded.items() if torch.is_tensor(v)}
    assert list(loaded) == list(tensors), file
    for name, tensor in tensors.items():
        assert describe(name, loaded[name]) == describe(name, tensor), (file, name)
    EXPECTED[file] = {
        "file_sha256": hashlib.sha256((OUT / file).read_bytes()).hexdigest(),
        "nested_under": nested_under, "stripped_prefix": stripped_prefix,
        "tensors": [describe(k.removeprefix(stripped_prefix), v) for k, v in loaded.items()]}


def stream_parts(stream):
    """The five pickles of a legacy stream, and its storages as {key: (elements, bytes)} read with the sizes of `widths`."""
    file, ends = io.BytesIO(stream), [0]
    for _ in range(5):
        for _ in pickletools.genops(file):
            pass
        ends.append(file.tell())
    return [stream[a:b] for a, b in zip(ends, ends[1:])], stream[ends[-1]:]


def numbered(stream, widths):
    """The same stream with the keys "100000000000001", ... in the order of use; widths: bytes per element by old key."""
    pickles, data = stream_parts(stream)
    keys, storages, at = pickle.loads(pickles[4]), {}, 0
    for key in keys:
        size = 8 + struct.unpack_from("<q", data, at)[0] * widths[key]
        storages[key] = data[at:at + size]
        at += size
    assert at == len(data)
    used = sorted(keys, key=lambda key: pickles[3].index(key.encode()))
    new = {}
    for i, old in enumerate(used):
        new[old] = str(10 ** (len(old) - 1) + i + 1)
        pickles[3] = pickles[3].replace(old.encode(), new[old].encode())
    pickles[4] = pickle.dumps([new[old] for old in used], protocol=pickles[4][1])
    return b"".join(pickles) + b"".join(storages[old] for old in used)


def storages_of(value):
    if torch.is_tensor(value):
        yield str(value.untyped_storage()._cdata), value.element_size()
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from storages_of(part)


def save_stream(file, content, tensors=None, protocol=2, **kw):
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    (OUT / file).write_bytes(numbered(out.getvalue(), dict(storages_of(content))))
    expect(file, content if tensors is None else tensors, **kw)


# The tar of 2017.

def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value):
    return b"J" + struct.pack("<i", value)


def name_of(dtype, kind):
    word = {torch.float32: "Float", torch.float64: "Double", torch.int64: "Long", torch.uint8: "Byte"}[dtype]
    return f"ctorch\n{word}{kind}\n".encode()


def tar_of(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o600, 1483719550.98166  # a fraction: a pax header each
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tar_2017(tensors, parameters=(), views=(), wrap=None):
    """`tensors`: {name: tensor}; those of one storage share it. `views`: names whose storage becomes a view of its own.
    Numbers of objects are made up, as the addresses were."""
    begin, end = b"\x80\x02", b"."
    sys_info = pickle.dumps({"little_endian": True, "protocol_version": 1000,
                             "type_sizes": {"int": 4, "short": 2, "long": 4}}, protocol=2)
    storages, rows, described, storage_views = {}, [], [], []
    object_pickle = b"ccollections\nOrderedDict\n)R("
    for i, (name, tensor) in enumerate(tensors.items()):
        storage = tensor.untyped_storage()
        key = storages.setdefault(storage.data_ptr(), (404000000 + 96 * len(storages), storage, tensor))[0]
        number, offset = 405000000 + 64 * i, tensor.storage_offset()
        if name in views:  # a storage of its own that begins where the tensor does
            root, key = key, 406000000 + 32 * i
            storage_views.append((key, root, offset, storage.nbytes() // tensor.element_size() - offset))
            offset = 0
        described.append(begin + integer(number) + integer(key) + name_of(tensor.dtype, "Tensor") + b"\x87" + end +
                         struct.pack(f"<ii{2 * tensor.dim()}qq", tensor.dim(), 7, *tensor.shape, *tensor.stride(), offset))
        value = text(str(number)) + b"Q"
        if name in parameters:
            value = b"ctorch.nn.parameter\nParameter\n)\x81(" + value + b"NN\x88\x89tb"
        object_pickle += text(name) + value
    for key, storage, tensor in storages.values():
        raw = bytes(storage.tolist())
        rows.append(begin + integer(key) + text("cpu") + name_of(tensor.dtype, "Storage") + b"\x87" + end +
                    struct.pack("<q", len(raw) // tensor.element_size()) + raw)
    object_pickle += b"u"
    if wrap:
        object_pickle = b"}(" + text("epoch") + integer(3) + text(wrap) + object_pickle + b"u"
    count = lambda n: begin + integer(n) + end
    return tar_of({"sys_info": sys_info, "pickle": begin + object_pickle + end,
                   "tensors": count(len(described)) + b"".join(described),
                   "storages": count(len(rows)) + b"".join(rows) + pickle.dumps(storage_views, protocol=2)})


def save_tar(file, tensors, nested_under="", **kw):
    (OUT / file).write_bytes(tar_2017(tensors, wrap=nested_under, **kw))
    expect(file, tensors, nested_under=nested_under)


def main():
    plain = odict([("conv.weight", numbers(2, 3, 3, 3)), ("conv.bias", numbers(2)), ("n", torch.tensor(7))])
    save_stream("legacy_plain.pth", plain)
    save_stream("legacy_protocol4.pth", plain, protocol=4)
    save_stream("legacy_module_prefix.pth", odict(("module." + k, v) for k, v in plain.items()), stripped_prefix="module.")
    save_stream("legacy_types.pth", odict((str(t).removeprefix("torch."), numbers(5, dtype=t)) for t in (
        torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool)))
    base = numbers(4, 6)
    views = odict([
        ("whole", base), ("row", base[2]), ("part", base[1:3, 2:5]), ("transposed", base.t()),
        ("strided", base[::2, 1::2]), ("expanded", base[0:1].expand(3, 6)),
        ("channels_last", numbers(2, 3, 2, 2).to(memory_format=torch.channels_last)), ("scalar", base[1, 1]),
        ("empty", torch.zeros(0, 3)), ("shared_again", base)])
    save_stream("legacy_views.pth", views)
    parameters = odict((k, torch.nn.Parameter(v.clone())) for k, v in plain.items() if k != "n")
    save_stream("legacy_training.pth", {"epoch": 12, "best_val_iou": np.float64(0.4375), "model_state_dict": parameters,
                                        "optimizer_state_dict": {"state": {0: {"exp_avg": numbers(3)}}}},
                tensors=parameters, nested_under="model_state_dict")
    save_tar("tar_plain.pth", odict([("conv.weight", numbers(2, 3, 3, 3)), ("bn.running_mean", numbers(2)),
                                     ("n", torch.tensor([7])), ("mask", torch.tensor([1, 0, 255], dtype=torch.uint8))]),
             parameters=("conv.weight",))
    save_tar("tar_views.pth", odict([("whole", base), ("row", base[2]), ("transposed", base.t()), ("strided", base[::2, 1::2]),
                                     ("wide", numbers(3, dtype=torch.float64))]), views=("row",))
    save_tar("tar_training.pth", odict([("w", numbers(2, 2)), ("b", numbers(2))]), nested_under="model",
             parameters=("w", "b"))
    torch.save(odict([("w", numbers(2, 3)), ("labels", torch.tensor([1, 2, 65535], dtype=torch.uint16)),
                      ("wide", torch.tensor([7, 2 ** 32 - 1], dtype=torch.uint32)),
                      ("p", torch.nn.Parameter(numbers(2)))]), OUT / "torch2_records.pth")
    expect("torch2_records.pth", torch.load(OUT / "torch2_records.pth"))
    (OUT / "legacy.json").write_text(json.dumps(EXPECTED, indent=1, sort_keys=True) + "\n")


main()
