"""The U-Net of unet.py on TensorRT, built layer by layer from its weights, in float16."""
import torch
from torch import nn


def network(model, shape):
    """(function that runs it once on a CUDA stream, "") or (None, why not)."""
    try:
        import tensorrt as trt
    except ImportError:
        return None, "not installed"
    try:
        return build(trt, model, shape), ""
    except Exception as error:  # noqa: BLE001: versions of this API differ in many ways
        return None, f"{trt.__version__}: {type(error).__name__}: {str(error).strip()[:160]}"


def build(trt, model, shape):
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    net = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH) if hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH") else 0)
    kept = []   # TensorRT reads weights where they lie until the engine is built

    def weights(tensor):
        kept.append(tensor.detach().float().cpu().contiguous().numpy())
        return trt.Weights(kept[-1])

    def convolution(x, w, b, kernel):
        layer = net.add_convolution_nd(x, w.shape[0], (kernel, kernel), weights(w), weights(b))
        layer.padding_nd = (kernel // 2, kernel // 2)
        return layer.get_output(0)

    def block(x, modules):
        for conv, norm in zip(modules[0::3], modules[1::3]):
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            x = convolution(x, conv.weight * gain[:, None, None, None], norm.bias - norm.running_mean * gain, 3)
            x = net.add_activation(x, trt.ActivationType.RELU).get_output(0)
        return x

    x, skips = net.add_input("x", trt.float32, shape), []
    for level, modules in enumerate(model.down):
        if level > 0:
            pool = net.add_pooling_nd(x, trt.PoolingType.MAX, (2, 2))
            pool.stride_nd = (2, 2)
            x = pool.get_output(0)
        x = block(x, list(modules))
        skips.append(x)
    for up, modules, skip in zip(model.up, model.join, skips[-2::-1]):
        layer = net.add_deconvolution_nd(x, up.out_channels, (2, 2), weights(up.weight), weights(up.bias))
        layer.stride_nd = (2, 2)
        x = block(net.add_concatenation([skip, layer.get_output(0)]).get_output(0), list(modules))
    assert isinstance(model.last, nn.Conv2d)
    y = convolution(x, model.last.weight, model.last.bias, 1)
    y.name = "y"
    net.mark_output(y)
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.FP16)
    plan = builder.build_serialized_network(net, config)
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    source, result = torch.randn(*shape, device="cuda"), torch.empty(shape[0], 1, *shape[2:], device="cuda")
    context.set_tensor_address("x", source.data_ptr())
    context.set_tensor_address("y", result.data_ptr())
    stream = torch.cuda.current_stream()

    def body(kept_alive=(engine, source, result)):
        context.execute_async_v3(stream.cuda_stream)
    return body
