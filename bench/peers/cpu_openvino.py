#!/usr/bin/env python3
"""OpenVINO's CPU plug-in in turns (cpu_serve.py): float32, on the model.onnx of cpu_export.py, or --int8 on its model8.onnx."""
import openvino

import cpu_serve


def build(options):
    core = openvino.Core()
    # Where a processor has bfloat16 the plug-in would choose it; what is not in 8 bits is compared in float32.
    compiled = core.compile_model(f"{options.models}/model{8 * options.int8 or ''}.onnx", "CPU", {
        "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1})
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(cpu_serve.planes(options)))
    return request.infer, lambda: request.get_output_tensor().data.transpose(0, 2, 3, 1), {"name": "OpenVINO", "version": openvino.__version__.split("-")[0]}


cpu_serve.serve(cpu_serve.setting("--int8"), build)
