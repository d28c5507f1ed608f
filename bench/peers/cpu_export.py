#!/usr/bin/env python3
"""A network of Furrow's for other runtimes: model.onnx, model8.onnx, model.ncnn.param and .bin, and for onednn_unet.cc folded.bin.

    cpu_export.py --weights FILE.safetensors --network "unet base 64, 3 -> 1, transposed" --side S --batch N --models FOLDER
                  --input FILE --kind onnx|onnx8|ncnn|folded

Needs PyTorch; for onnx also onnx and onnxscript, for onnx8 onnxruntime too, for ncnn pnnx. onnx8 is in 8 bits: u8 activations with ranges from
the input, s8 weights per channel, as pairs of QuantizeLinear and DequantizeLinear."""
import argparse
import os
import pathlib
import struct
import subprocess
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "data"))
import cpu_serve  # noqa: E402
from reference_networks import network  # noqa: E402
from safetensors_state import read  # noqa: E402


def onnx(net, x, folder):
    torch.onnx.export(net, (x,), f"{folder}/model.onnx", input_names=["x"], output_names=["y"], dynamo=True, external_data=False)


def onnx8(net, x, folder):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Once(CalibrationDataReader):
        left = [{"x": x.numpy()}]

        def get_next(self):
            return self.left.pop() if self.left else None

    if not os.path.exists(f"{folder}/model.onnx"):
        onnx(net, x, folder)
    quant_pre_process(f"{folder}/model.onnx", f"{folder}/folded.onnx")   # batch norms go into the weights
    quantize_static(f"{folder}/folded.onnx", f"{folder}/model8.onnx", Once(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    os.remove(f"{folder}/folded.onnx")


def ncnn(net, x, folder):
    """pnnx writes beside its input; it looks at one picture, for ncnn has no batches."""
    x = x[:1]
    torch.jit.trace(net, x).save(f"{folder}/model.pt")
    import pnnx
    shape = ",".join(map(str, x.shape))
    subprocess.run([pnnx.EXEC_PATH, "model.pt", f"inputshape=[{shape}]", "fp16=0"], cwd=folder, check=True, stdout=sys.stderr)
    os.remove(f"{folder}/model.pt")


def folded(net, _, folder):
    """Every convolution with its batch norm folded in, in double, in the order of the forward pass of the classic U-Net:
    three int32 (outputs, inputs, side of the kernel; minus the side where transposed), weights, biases, float32."""
    if not hasattr(net, "inc"):
        raise RuntimeError("the adapter of oneDNN knows the classic U-Net alone")
    blocks = [net.inc] + [getattr(net, f"down{i}") for i in range(1, 5)] + [getattr(net, f"up{i}") for i in range(1, 5)] + [net.outc]
    layers = [m for b in blocks for m in b.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d))]
    with open(f"{folder}/folded.bin", "wb") as file:
        for layer, after in zip(layers, layers[1:] + [None]):
            if isinstance(layer, nn.BatchNorm2d):
                continue
            w = layer.weight.double()
            transposed = isinstance(layer, nn.ConvTranspose2d)
            w = w.transpose(0, 1) if transposed else w
            b = torch.zeros(w.shape[0], dtype=torch.float64) if layer.bias is None else layer.bias.double()
            if isinstance(after, nn.BatchNorm2d):
                gain = after.weight.double() / torch.sqrt(after.running_var.double() + after.eps)
                w, b = w * gain[:, None, None, None], (b - after.running_mean.double()) * gain + after.bias.double()
            file.write(struct.pack("<3i", w.shape[0], w.shape[1], -w.shape[2] if transposed else w.shape[2]))
            for t in (w, b):
                file.write(t.float().contiguous().numpy().tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--weights", "--network", "--models", "--input"):
        parser.add_argument(name, required=True)
    for name in ("--side", "--batch"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--kind", choices=("onnx", "onnx8", "ncnn", "folded"), required=True)
    options = parser.parse_args()
    net = network(options.network).eval()
    net.load_state_dict(read(options.weights))
    with torch.no_grad():
        globals()[options.kind](net, torch.from_numpy(cpu_serve.planes(options)), options.models)


if __name__ == "__main__":
    main()
