#!/usr/bin/env python3
"""Writes tests/data/checkpoints/: small .pth files made by PyTorch itself, and expected.json beside them.

Run it with a Python that has PyTorch (1.13 made the committed files) and NumPy. It is deterministic: the same
versions give the same bytes. expected.json lists for each file the tensors in order, with shape, dtype, and the
SHA-256 of their dense little-endian bytes.
"""
import collections
import hashlib
import io
import json
import pathlib
import zipfile

import numpy as np
import torch

OUT = pathlib.Path(__file__).parent / "checkpoints"
EXPECTED = {}


def numbers(*shape, dtype=torch.float32, start=0.0):
    count = int(np.prod(shape)) if shape else 1
    return (torch.arange(count, dtype=torch.float64) * 0.37 - 1.5 + start).reshape(shape).to(dtype)


def describe(name, tensor):
    dense = tensor.detach().contiguous()
    raw = dense.view(torch.int16) if dense.dtype == torch.bfloat16 else dense
    return {"key": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."),
            "sha256_contiguous_le": hashlib.sha256(raw.numpy().tobytes()).hexdigest()}


def expect(file, tensors, nested_under="", stripped_prefix=""):
    EXPECTED[file] = {
        "file_sha256": hashlib.sha256((OUT / file).read_bytes()).hexdigest(),
        "nested_under": nested_under, "stripped_prefix": stripped_prefix,
        "tensors": [describe(k.removeprefix(stripped_prefix), v) for k, v in tensors.items()]}


def save(file, content, tensors=None, **kw):
    expected_kw = {k: kw.pop(k) for k in ("nested_under", "stripped_prefix") if k in kw}
    torch.save(content, OUT / file, **kw)
    expect(file, content if tensors is None else tensors, **expected_kw)


def repack(source, file, **kw):
    """The same records through Python's zipfile: CRCs in the local header, no padding, deflate if asked for."""
    with zipfile.ZipFile(OUT / source) as old, zipfile.ZipFile(OUT / file, "w", **kw) as new:
        for record in old.infolist():
            info = zipfile.ZipInfo(record.filename, (1980, 1, 1, 0, 0, 0))
            info.compress_type = kw.get("compression", zipfile.ZIP_STORED)
            with new.open(info, "w", force_zip64=kw.get("allowZip64", False)) as out:
                out.write(old.read(record))
    EXPECTED[file] = dict(EXPECTED[source], file_sha256=hashlib.sha256((OUT / file).read_bytes()).hexdigest())


def streamed(source, file):
    """Written to something that cannot seek: data descriptors."""
    class Pipe(io.RawIOBase):
        def __init__(self): self.data = bytearray()
        def writable(self): return True
        def write(self, b): self.data += b; return len(b)
    pipe = Pipe()
    with zipfile.ZipFile(OUT / source) as old, zipfile.ZipFile(pipe, "w") as new:
        for record in old.infolist():
            new.writestr(zipfile.ZipInfo(record.filename, (1980, 1, 1, 0, 0, 0)), old.read(record))
    (OUT / file).write_bytes(bytes(pipe.data))
    EXPECTED[file] = dict(EXPECTED[source], file_sha256=hashlib.sha256((OUT / file).read_bytes()).hexdigest())


def main():
    OUT.mkdir(exist_ok=True)
    odict = collections.OrderedDict
    plain = odict([("conv.weight", numbers(2, 3, 3, 3)), ("conv.bias", numbers(2)), ("n", torch.tensor(7))])
    save("plain.pth", plain)
    save("protocol4.pth", plain, pickle_protocol=4)
    save("module_prefix.pth", odict(("module." + k, v) for k, v in plain.items()), stripped_prefix="module.")
    save("types.pth", odict((str(t).removeprefix("torch."), numbers(5, dtype=t)) for t in (
        torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool)))
    base = numbers(4, 6)
    save("views.pth", odict([
        ("whole", base), ("row", base[2]), ("part", base[1:3, 2:5]), ("transposed", base.t()), ("strided", base[::2, 1::2]),
        ("expanded", base[0:1].expand(3, 6)), ("channels_last", numbers(2, 3, 2, 2).to(memory_format=torch.channels_last)),
        ("scalar", base[1, 1]), ("empty", torch.zeros(0, 3)), ("shared_again", base)]))
    save("not_finite.pth", odict([("w", torch.tensor([1.0, float("nan"), float("inf")]))]))
    save("names.pth", odict([("x" * 5000, numbers(2)), ("\u3057\u308f.weight", numbers(3))]))
    save("many.pth", odict((f"t{i}", numbers(1, start=float(i))) for i in range(60)))

    torch.manual_seed(7)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.25)
    save("state_dict.pth", model.state_dict())  # an OrderedDict that carries _metadata
    save("parameters.pth", odict(model.named_parameters()))  # Parameters, requires_grad
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model(torch.ones(2, 1, 4, 4)).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
        model[1].running_mean.fill_(0.125)
        model[1].running_var.fill_(1.5)
    for state in optimizer.state.values():  # gradients may differ in the last bit between machines
        state["exp_avg"].fill_(0.01)
        state["exp_avg_sq"].fill_(0.0001)
    save("training.pth", {
        "epoch": 12, "model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict(),
        "best_val_iou": np.float64(0.4375), "all_metrics": {"iou": np.float32(0.5), "f1": 0.625, "count": np.int64(3)},
        "device": torch.device("cuda", 1), "dtype": torch.float32, "size": torch.Size([1, 2]),
        "seen": {1, 2}, "counter": collections.Counter(a=2), "nothing": None, "big": 2 ** 63 + 1},
        tensors=model.state_dict(), nested_under="model_state_dict")
    save("both.pth", {"state_dict": odict(a=numbers(1)), "model_state_dict": plain}, tensors=plain,
         nested_under="model_state_dict")
    save("mask_values.pth", odict([*plain.items(), ("mask_values", [0, 1])]), tensors=plain)
    repack("plain.pth", "python_zip.pth")
    repack("plain.pth", "python_deflated.pth", compression=zipfile.ZIP_DEFLATED)
    repack("plain.pth", "python_zip64.pth", allowZip64=True)
    streamed("plain.pth", "python_streamed.pth")
    (OUT / "expected.json").write_text(json.dumps(EXPECTED, indent=1, sort_keys=True) + "\n")


main()
