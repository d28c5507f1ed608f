#!/usr/bin/env python3
"""PyTorch on the CPU in turns (cpu_serve.py): float32, eager, --frozen (traced, frozen, optimised for inference) or
--compiled, each with or without --channels-last; or --int8 (its FX quantiser for x86, ranges from the input, traced and frozen). --network names the architecture in Furrow's words. A face
parser is run to its label map."""
import pathlib
import re
import sys

import torch

import cpu_serve

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "data"))
from reference_networks import network  # noqa: E402
from safetensors_state import read  # noqa: E402


class Labelled(torch.nn.Module):
    """Logits, and the class of the largest."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        logits = self.net(x)
        return logits, logits.argmax(1)


def build(options):
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    net = network(options.network).eval()
    net.load_state_dict(read(options.weights))
    parser = options.network.startswith("bisenet")
    if parser:
        net = Labelled(net).eval()
    x = torch.from_numpy(cpu_serve.planes(options))
    if options.channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    if options.int8:
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
        prepared = prepare_fx(net, get_default_qconfig_mapping("x86"), (x,))
        prepared(x)
        net = torch.jit.freeze(torch.jit.trace(convert_fx(prepared), x))
        net(x)
    if options.frozen:
        net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
        net(x)   # the profiling executor decides at the second run
    if options.compiled:
        net = torch.compile(net)
    logits = None

    def run():
        nonlocal logits
        logits = net(x)

    with torch.inference_mode():
        run()
    blas = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    told = {"name": "PyTorch", "version": torch.__version__, "blas": blas.group(1) if blas else "unknown"}
    return run, lambda: (logits[0] if parser else logits).permute(0, 2, 3, 1).contiguous().numpy(), told


with torch.inference_mode():
    cpu_serve.serve(cpu_serve.setting("--frozen", "--compiled", "--channels-last", "--int8"), build)
