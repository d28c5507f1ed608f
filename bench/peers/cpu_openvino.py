#!/usr/bin/env python3
"""OpenVINO's CPU plug-in, float32, in turns (cpu_serve.py), on the model.onnx of cpu_export.py."""
import openvino

import cpu_serve


def build(options):
    core = openvino.Core()
    # Where a processor has bfloat16 the plug-in would choose it; this is a comparison in float32.
    compiled = core.compile_model(f"{options.models}/model.onnx", "CPU", {
        "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1})
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(cpu_serve.planes(options)))
    return request.infer, lambda: request.get_output_tensor().data.transpose(0, 2, 3, 1), {"name": "OpenVINO", "version": openvino.__version__.split("-")[0]}


cpu_serve.serve(cpu_serve.setting(), build)
