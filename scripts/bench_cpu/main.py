#!/usr/bin/env python3
"""What scripts/bench_cpu.sh runs, once our programs are built; its --help says what the options mean. Standard library only."""
import argparse
import datetime
import json
import os
import pathlib
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

import first
import table
from case import Lab, run_case
from program import Ended
from samples import LEAST_SHARE, dump, rounded
from settings import DEFAULT_WEIGHTS, NETWORKS, OURS, PRECISIONS, ROOT, Case, Setting, added_peer, onednn_peers, python_peers

PEERS = ("torch", "onnxruntime", "openvino", "ncnn", "onednn")


def words(allowed, many=str):
    def read(text):
        found = [many(w.strip()) for w in text.split(",") if w.strip()]
        if not found or any(allowed and w not in allowed for w in found):
            raise argparse.ArgumentTypeError(f"takes {', '.join(map(str, allowed))}, separated by commas")
        return found
    return read


def numbers(least, most):
    def read(text):
        found = [int(w) for w in text.split(",")]
        if any(not least <= n <= most for n in found):
            raise argparse.ArgumentTypeError(f"takes numbers from {least} to {most}, separated by commas")
        return found
    return read


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench_cpu.sh", usage="see scripts/bench_cpu.sh --help", add_help=False)
    parser.add_argument("--turns-program", required=True)
    parser.add_argument("--furrow", required=True)
    parser.add_argument("--onednn", default="", help="the adapter's program, or - and why there is none")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", default=list(PEERS), type=lambda t: [] if t == "none" else words(PEERS)(t))
    parser.add_argument("--add", default=[], action="append", type=added_peer)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--networks", type=words(tuple(NETWORKS)))
    parser.add_argument("--sides", type=numbers(32, 4096))
    parser.add_argument("--batches", type=numbers(1, 64))
    parser.add_argument("--threads", type=numbers(1, 1024))
    parser.add_argument("--precisions", default=list(PRECISIONS), type=words(PRECISIONS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--photo", default=ROOT / "examples" / "astronaut.png")
    parser.add_argument("--out", default="")
    o = parser.parse_args(arguments)
    most = len(os.sched_getaffinity(0))
    o.networks = o.networks or ["U-Net base 64", "default model"] if o.quick else o.networks or list(NETWORKS)
    o.sides = o.sides or ([512] if o.quick else [512, 1024])
    o.batches = o.batches or ([1] if o.quick else [1, 4])
    o.threads = o.threads or [t for t in (1, 2) if t <= most]
    if o.rounds is None:
        o.rounds = 3 if o.quick else 7
    if o.rounds < 1:
        parser.error("--rounds takes a number above 0")
    return o


def settings_of(o, lab):
    ours = Setting(OURS, "furrow", (o.turns_program, "serve"), precisions=PRECISIONS)
    found = [s for s in python_peers(o.python) if s.peer in o.peers]
    if "onednn" in o.peers:
        if o.onednn and not o.onednn.startswith("-"):
            found += onednn_peers(o.onednn)
        else:
            lab.leave_out("everywhere", "oneDNN", o.onednn[1:].strip() or "its adapter was not built")
    return [ours, *found, *o.add]


def without_missing(lab, o, settings):
    """The settings whose modules Python finds; of the others one line each says what is missing."""
    modules = {"torch": ["torch", "numpy"], "onnxruntime": ["onnxruntime", "torch", "onnx", "onnxscript"], "openvino": ["openvino", "onnxruntime", "torch", "onnx", "onnxscript"],
               "ncnn": ["ncnn", "torch", "pnnx"], "onednn": ["torch"]}
    missing = {}
    for peer in {s.peer for s in settings} & modules.keys():
        code = "import importlib.util as u, sys; print(' '.join(m for m in sys.argv[1:] if u.find_spec(m) is None))"
        done = subprocess.run([o.python, "-c", code, *modules[peer]], capture_output=True, text=True, check=False)
        if done.returncode != 0 or done.stdout.strip():
            missing[peer] = f"Python has no {done.stdout.strip().replace(' ', ', ')}" if done.returncode == 0 else "its Python does not run"
    for peer in sorted(missing):
        lab.leave_out("everywhere", peer, missing[peer])
    return [s for s in settings if s.peer not in missing]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) // 1024
    return {"cpu": names[0] if names else platform.machine(), "cores": os.cpu_count(), "memory_MiB": memory, "system": platform.platform()}


def commit():
    def git(*arguments):
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False).stdout.strip()
    return git("rev-parse", "--short=12", "HEAD") + ("+changes" if git("status", "--porcelain") else "")


def command(o):
    """What was asked for, without where things lie on this machine."""
    lists = {name: ",".join(map(str, getattr(o, name))) or "none" for name in ("peers", "networks", "sides", "batches", "threads", "precisions")}
    return shlex.join(["scripts/bench_cpu.sh", *(w for name, value in lists.items() for w in (f"--{name}", value)), "--rounds", str(o.rounds)])


def one_case(o, lab, told, case, settings, files):
    """The network in words, "" where ours did not run."""
    lab.say(f"{case.text()}; load {os.getloadavg()[0]:.1f}")
    told["machine"]["load"].append(os.getloadavg()[0])
    try:
        rows, architecture = run_case(lab, case, settings, files, o.rounds)
    except Ended as error:
        lab.leave_out(case.text(), OURS, str(error))
        lab.checks.append({"name": case.text(), "ok": False, "detail": f"ours: {error}"})
        return ""
    told["rows"] += rows
    against = [r for r in rows if r["peer"] != "furrow"]
    different = [n for n in lab.not_run if n["where"] == case.text() and "computes something else" in n["reason"]]
    if against or different:
        lab.checks.append({"name": f"logits of {case.text()}", "ok": bool(against), "detail": f"{len(against)} settings agree with ours, {len(different)} do not"})
    return architecture


def run(o, lab, told):
    settings = without_missing(lab, o, settings_of(o, lab))
    told["ceilings"] = json.loads(lab.own("peaks"))
    sizes = {"program_MiB": os.path.getsize(o.furrow) / 2**20, "weights_MiB": {}}
    told["disk"] = {**sizes, "peers": []}
    for network in o.networks:
        weights = DEFAULT_WEIGHTS
        if NETWORKS[network]:
            weights = lab.scratch / "weights.safetensors"
            lab.own("weights", NETWORKS[network], weights)
        sizes["weights_MiB"][network] = weights.stat().st_size / 2**20
        for side in o.sides:
            for batch in o.batches:
                models = lab.scratch / f"models-{o.networks.index(network)}-{side}-{batch}"
                models.mkdir()
                files = {"weights": weights, "input": lab.scratch / "input", "logits": lab.scratch / "logits", "models": models}
                lab.own("input", files["input"], side, batch)
                architecture = ""
                for case in [Case(network, side, batch, threads, precision) for precision in o.precisions for threads in o.threads
                             if precision == "fp32" or network != "BiSeNet"]:
                    architecture = one_case(o, lab, told, case, [s for s in settings if case.precision in s.precisions], files) or architecture
                if architecture and "fp32" in o.precisions and side == o.sides[0] and batch == o.batches[0]:
                    case = Case(network, side, batch, max(o.threads))
                    lab.say(f"first result, {case.text()}")
                    done = {r["setting"] for r in told["rows"] if (r["network"], r["side"], r["batch"], r["precision"]) == (network, side, batch, "fp32")}
                    photo = (o.furrow, o.photo) if NETWORKS[network] is None else None
                    told["first"] += first.measure(lab, case, [s for s in settings if s.name in done], architecture, files, o.rounds, photo)
                shutil.rmtree(models)


def main():
    o = options_of(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # the programs, which are stopped, are ended on the way out
    told = {"schema": 1, "kind": "bench_cpu", "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"), "commit": commit(),
            "command": command(o), "machine": {**machine(), "load": []},
            "guard": {"least_share": LEAST_SHARE, "rounds": o.rounds, "most_rounds": 3 * o.rounds}, "rows": [], "first": []}
    with tempfile.TemporaryDirectory() as scratch:
        lab = Lab(o.turns_program, o.python, scratch, lambda text: print(text, file=sys.stderr, flush=True))
        try:
            run(o, lab, told)
        except (KeyboardInterrupt, SystemExit):   # what is measured is told
            lab.leave_out("what comes after", "everything", "it was interrupted")
            lab.checks.append({"name": "the whole run", "ok": False, "detail": "interrupted"})
        except Ended as error:
            lab.leave_out("what comes after", "everything", str(error))
            lab.checks.append({"name": "the whole run", "ok": False, "detail": str(error)})
    if "disk" in told:
        told["disk"]["peers"] = list(lab.disk.values())
    ok = bool(told["rows"]) and all(c["ok"] for c in lab.checks)
    told |= {"versions": lab.versions, "not_run": lab.not_run, "checks": lab.checks, "ok": ok}
    told = rounded(told)
    if "disk" in told:
        print(table.whole(told))
    else:
        print("\n".join(table.left_out(told)))
    if o.out:
        pathlib.Path(o.out).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(o.out).write_text(dump(told), encoding="utf-8")
        print(f"written: {o.out}", file=sys.stderr)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
