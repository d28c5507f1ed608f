"""Who is timed, and how each is started. Standard library only."""
import dataclasses
import pathlib
import shlex

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench" / "peers"
# Memory that is freed stays with the process, which makes frameworks that allocate for every operation faster.
KEEP = {"MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_MMAP_THRESHOLD_": "100000000000"}
OURS = "Furrow"


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str      # "PyTorch frozen, channels_last"
    peer: str      # "torch", as --peers has it; "furrow" is ours
    command: tuple
    needs: str = ""   # what cpu_export.py makes for it: onnx, onnx8, ncnn, folded
    precisions: tuple = ("fp32",)   # of the cases that it takes part in

    @property
    def ours(self):
        return self.peer == "furrow"


@dataclasses.dataclass(frozen=True)
class Case:
    network: str   # a key of NETWORKS
    side: int
    batch: int
    threads: int
    precision: str = "fp32"

    def text(self):
        return (f"{self.network}, {self.side}x{self.side}, batch {self.batch}, {self.threads} thread{'s' * (self.threads > 1)}"
                f"{', int8' * (self.precision == 'int8')}")


# What a network is called here -> its architecture in Furrow's words, weights drawn from a seed; None: the model in the program.
NETWORKS = {"default model": None, "U-Net base 64": "unet base 64, 3 -> 1, transposed", "ResNet50-U-Net": "resnet50-unet base 64, 3 -> 1, transposed",
            "BiSeNet": "bisenet base 64, 3 -> 19"}   # to its label map here and in PyTorch, to its logits elsewhere; in float32 alone
PRECISIONS = ("fp32", "int8")
DEFAULT_WEIGHTS = ROOT / "weights" / "furrow-mini-2.safetensors"


def python_peers(python):
    """Settings that run in Python: PyTorch's ways, and runtimes that read an exported network."""
    found = []
    for way in ("eager", "frozen", "compiled"):
        for last in ("", "--channels-last"):
            flags = [f for f in ("" if way == "eager" else f"--{way}", last) if f]
            found.append(Setting(f"PyTorch {way}{', channels_last' * bool(last)}", "torch", (python, PEERS / "cpu_torch.py", *flags)))
    found += [Setting("ONNX Runtime", "onnxruntime", (python, PEERS / "cpu_onnxruntime.py"), "onnx"),
              Setting("OpenVINO", "openvino", (python, PEERS / "cpu_openvino.py"), "onnx"),
              Setting("ncnn", "ncnn", (python, PEERS / "cpu_ncnn.py"), "ncnn"),
              Setting("ncnn without Winograd", "ncnn", (python, PEERS / "cpu_ncnn.py", "--direct"), "ncnn")]
    found += [Setting(f"{name} int8", name_of, (python, PEERS / f"cpu_{name_of}.py", "--int8"), needs, ("int8",))
              for name, name_of, needs in (("PyTorch", "torch", ""), ("ONNX Runtime", "onnxruntime", "onnx8"), ("OpenVINO", "openvino", "onnx8"))]
    return found


def onednn_peers(program):
    return [Setting(f"oneDNN {how}", "onednn", (program, "--algorithm", how), "folded") for how in ("direct", "winograd")]


def added_peer(text):
    """NAME=COMMAND of --add; a name that ends in int8 takes part in the cases in 8 bits, and in no others."""
    name, _, command = text.partition("=")
    if not name or not command:
        raise ValueError(f"--add takes NAME=COMMAND, not {text!r}")
    return Setting(name, name, tuple(shlex.split(command)), precisions=("int8" if name.endswith("int8") else "fp32",))


def arguments(case, architecture, files):
    """What bench/cpu/serve.h asks for; `files` has weights, input, logits and models, and in 8 bits weights8, ours."""
    return ["--weights", files["weights"], "--input", files["input"], "--logits", files["logits"], "--side", case.side, "--batch", case.batch,
            "--threads", case.threads], ["--network", architecture, "--models", files["models"]]
