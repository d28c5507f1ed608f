#!/usr/bin/env python3
"""ncnn on the CPU, float32, in turns (cpu_serve.py), on the model.ncnn files of cpu_export.py. --direct: without Winograd.
It has no batches: pictures run one after the other."""
import ncnn
import numpy as np

import cpu_serve


def build(options):
    net = ncnn.Net()
    net.opt.num_threads = options.threads
    net.opt.use_winograd_convolution = not options.direct
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_bf16_packed", "use_vulkan_compute"):
        if hasattr(net.opt, name):
            setattr(net.opt, name, False)
    if net.load_param(f"{options.models}/model.ncnn.param") or net.load_model(f"{options.models}/model.ncnn.bin"):
        raise RuntimeError("ncnn cannot load model.ncnn.param and model.ncnn.bin")
    pictures, logits = cpu_serve.planes(options), []

    def run():
        logits.clear()
        for one in pictures:
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(one))
            code, out = extractor.extract("out0")
            if code:
                raise RuntimeError(f"ncnn: extract() answers {code}")
            logits.append(out)
    return run, lambda: np.stack([np.array(m) for m in logits]).transpose(0, 2, 3, 1), {"name": "ncnn", "version": ncnn.__version__}


cpu_serve.serve(cpu_serve.setting("--direct"), build)
