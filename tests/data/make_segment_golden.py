#!/usr/bin/env python3
"""Makes tests/data/segment/: what the float64 network says to examples/astronaut.png (512x512, no resizing).

    make_segment_golden.py GOLDEN.npz

GOLDEN.npz holds `input_u8_hwc` (that picture) and `logits_f64`, computed by PyTorch in float64. Too large to commit
whole (2.5 MB), it is reduced to
  mini_logits_step3.f32   every third logit of every third row, little-endian float32, row-major
  mini_marks.bits         one bit per pixel, most significant first: sigmoid(logit) > 0.6
and the root mean square of all logits is printed.
"""
import pathlib
import sys

import numpy as np
from PIL import Image

STEP = 3
root = pathlib.Path(__file__).resolve().parent
golden = np.load(sys.argv[1])
logits = np.squeeze(golden["logits_f64"])
picture = np.asarray(Image.open(root.parent.parent / "examples" / "astronaut.png").convert("RGB"))
assert np.array_equal(picture, golden["input_u8_hwc"]), "the golden belongs to another picture"
out = root / "segment"
out.mkdir(exist_ok=True)
logits[::STEP, ::STEP].astype("<f4").tofile(out / "mini_logits_step3.f32")
np.packbits(logits > np.log(0.6 / 0.4)).tofile(out / "mini_marks.bits")
print("rms", repr(float(np.sqrt(np.mean(logits**2)))), "marked", int((logits > np.log(0.6 / 0.4)).sum()))
