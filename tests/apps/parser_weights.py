"""A face parser at a 32nd of its width, made from weights/bisenet_keys.txt without anybody's package: for the tests of the
program, and for tests/data/make_parse_golden.py, which runs the same weights in PyTorch.
"""
import json
import pathlib
import random
import struct

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def parser_file(path, leave_out=(), size=None, seed=3):
    """Random weights, running statistics of 0.5 to 1.5; metadata alone where a size is given, which it names."""
    draw, header, body = random.Random(seed), {}, b""
    if size:
        header["__metadata__"] = {"furrow.version": "1", "furrow.architecture": "bisenet base 2, 3 -> 19",
                                  "furrow.resize": f"pillow-bilinear {size}"}
    for line in (ROOT / "weights" / "bisenet_keys.txt").read_text().splitlines():
        key, dims = line.split()
        if key in leave_out:
            continue
        shape = [] if dims == "scalar" else [int(d) // 32 if int(d) % 32 == 0 else int(d) for d in dims.split("x")]
        count = 1
        for extent in shape:
            count *= extent
        if not shape:
            kind, data = "I64", struct.pack("<q", 7)
        elif key.endswith("running_var"):
            kind, data = "F32", struct.pack(f"<{count}f", *(draw.uniform(0.5, 1.5) for _ in range(count)))
        else:
            kind, data = "F32", struct.pack(f"<{count}f", *(draw.uniform(-0.5, 0.5) for _ in range(count)))
        header[key] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path.name
