#!/usr/bin/env python3
"""ONNX Runtime's CPU provider in turns (cpu_serve.py): float32, on the model.onnx of cpu_export.py, or --int8 on its model8.onnx."""
import onnxruntime

import cpu_serve


def build(options):
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads, session_options.inter_op_num_threads = options.threads, 1
    session_options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(f"{options.models}/model{8 * options.int8 or ''}.onnx", session_options, providers=["CPUExecutionProvider"])
    feed, logits = {session.get_inputs()[0].name: cpu_serve.planes(options)}, None

    def run():
        nonlocal logits
        logits = session.run(None, feed)[0]
    return run, lambda: logits.transpose(0, 2, 3, 1), {"name": "ONNX Runtime", "version": onnxruntime.__version__}


cpu_serve.serve(cpu_serve.setting("--int8"), build)
