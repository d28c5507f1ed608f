"""Valid checkpoints: what torch.save and safetensors write of made-up tensors, and the committed files."""
import collections
import io
import pathlib
import zipfile

FILES = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "checkpoints"


def tensors(rng):
    """1 to 6 tensors of any type and layout; some share a storage."""
    import torch
    kinds = [torch.float32] * 6 + [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
                                   torch.int8, torch.uint8, torch.bool]
    out, made = collections.OrderedDict(), []
    for i in range(rng.randint(1, 6)):
        sizes = [[1, 2, 3, 4], [0, 1, 5]]
        shape = [rng.choice(sizes[rng.random() < 0.1]) for _ in range(rng.randint(0, 4))]
        count = 1
        for size in shape:
            count *= size
        tensor = torch.tensor([rng.uniform(-3, 3) for _ in range(count)]).reshape(shape).to(rng.choice(kinds))
        way = rng.random()
        if made and way < 0.3:
            tensor = rng.choice(made)
            for _ in range(rng.randint(0, 2)):
                if tensor.dim() == 0 or tensor.numel() == 0:
                    break
                tensor = rng.choice([lambda t: t.transpose(0, -1), lambda t: t[..., ::2], lambda t: t[-1],
                                     lambda t: t[:1].expand(3, *t.shape[1:]), lambda t: t.reshape(-1)[1:]])(tensor)
        elif way < 0.4 and tensor.dim() == 4:
            tensor = tensor.to(memory_format=torch.channels_last)
        elif way < 0.5 and tensor.is_floating_point():
            tensor = torch.nn.Parameter(tensor, requires_grad=rng.random() < 0.5)
        made.append(tensor)
        name = f"layer{i}." + rng.choice(["weight", "bias", "running_mean"])
        out[rng.choice(["", "down1.", "module."]) + name] = tensor
    return out


def state(rng):
    """The dictionary that is saved, with or without what training keeps beside the weights."""
    weights = tensors(rng)
    if rng.random() < 0.2:
        weights = collections.OrderedDict(("module." + name, t) for name, t in weights.items())
    if rng.random() < 0.3:
        weights = dict(weights)
    if rng.random() < 0.6:
        return weights
    extra = {"epoch": rng.randrange(300), "loss": rng.uniform(0, 1), "name": "a run", "done": rng.random() < 0.5,
             "none": None, "metrics": {"iou": 0.41, "list": [1, 2.5, (3, "x")]}}
    wrapped = {key: value for key, value in extra.items() if rng.random() < 0.5}
    wrapped[rng.choice(["model_state_dict", "state_dict", "model", "weights"])] = weights
    return wrapped


def zip_seed(rng, protocol=2):
    import torch
    out = io.BytesIO()
    torch.save(state(rng), out, pickle_protocol=protocol)
    return out.getvalue()


def repacked_seed(rng):
    """A checkpoint that was unpacked and packed again: with entries for its folders."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(zip_seed(rng))) as saved, zipfile.ZipFile(out, "w") as packed:
        names = saved.namelist()
        folders = {name[:i + 1] for name in names for i, c in enumerate(name) if c == "/"}
        for name in sorted({*folders, *names}):
            if name in folders:
                packed.mkdir(name.rstrip("/"))
            else:
                packed.writestr(name, saved.read(name))
    return out.getvalue()


def safetensors_seed(rng):
    import safetensors.torch
    copies = {name: tensor.detach().clone().contiguous() for name, tensor in tensors(rng).items()}
    return safetensors.torch.save(copies, metadata={"format": "pt"} if rng.random() < 0.5 else None)


def committed(prefix):
    return [path.read_bytes() for path in sorted(FILES.glob(prefix + "*.pth"))]
