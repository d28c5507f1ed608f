"""Ratios: furrow_gpu_bench and a peer, each in a process of its own, take turns: A B A B ... on the same inputs, so that clock, power
and temperature are the same for both. Standard library only."""
import json
import os
import select
import signal
import statistics
import subprocess
import time

# (batch, kind of peer) -> what the peer's time over ours must be at least, of the U-Net at 512x512 in 16 bits on sm_90.
BARS = {(batch, kind): bar for batch in (1, 8) for kind, bar in (("eager", 1.9), ("compile", 1.5))}
ROUNDS = 30
MOST_OF_PEER = 1.1   # ours over the peer's error: roundings fall out one way or the other


class Stopped(Exception):
    """A program that ended, or did not answer in time."""

    def __init__(self, program, ended, text):
        super().__init__(text)
        self.program, self.ended = program, ended


class NotHere(Exception):
    """Ours has not enough memory for a row."""


class Program:
    """A program that answers each line with a line."""

    def __init__(self, name, command, log):
        self.name, self.log, self.rest = name, log, b""
        with open(log, "wb") as errors:
            self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0, start_new_session=True)

    def ask(self, line, end):
        try:
            self.process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            pass   # the read below says what it said last
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                last = self.log.read_text(errors="replace").strip().splitlines()[-1:] or [""]
                raise Stopped(self, bool(ready), f"{self.name} {'ended' if ready else 'did not answer in time'}: {line.split()[0]}: {last[0][:200]}")
            self.rest += data
        answer, _, self.rest = self.rest.partition(b"\n")
        return answer.decode(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def spread(samples):
    q1, median, q3 = statistics.quantiles(samples, n=4, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3}


def compare(ours, peer, row, batch, precision, kind, inputs, rounds, end, has_bar, word="prepare"):
    """One row, of inference or (`word` train) of training steps, against the peer's candidates of `kind`, eager or compile: a list of ratios as bench/results/README.md has them. Every round is one repeat of ours,
    then one of each candidate; a ratio is taken within its round."""
    answer = ours.ask(f"{word} {batch} {precision} {inputs}", end)
    if answer != "ready":
        raise NotHere(answer)
    candidates = json.loads(peer.ask(f"{word} {batch} {precision} {inputs} {kind}", end))
    mine, theirs, began = [], [[] for _ in candidates], time.time()
    for _ in range(rounds):
        mine.append(float(ours.ask("run", end)))
        for number, samples in enumerate(theirs):
            samples.append(float(peer.ask(f"run {number}", end)))
    ratios, ended = [], time.time()
    for candidate, samples in zip(candidates, theirs):
        bar = BARS.get((batch, candidate["kind"])) if has_bar and word == "prepare" else None
        ratio = spread([b / a for a, b in zip(mine, samples)])
        ratios.append({"row": row, "peer": candidate["name"], "kind": candidate["kind"], "rounds": rounds, "ours_ms": spread(mine), "peer_ms": spread(samples),
                       "ratio": ratio, "bar": bar, "ok": bar is None or ratio["median"] >= bar,
                       "began": began, "ended": ended})
    return ratios


def precision(ours, peer, width, name, scratch, end):
    """Our error beside PyTorch's, both against PyTorch in float64, on a network and inputs of ours: a check."""
    files = [scratch / f"turns.{what}" for what in ("bin", "safetensors", "logits")]
    ours.ask(f"prepare 1 {width} {files[0]}", end)
    ours.ask(f"export {files[1]} {files[2]}", end)
    errors = json.loads(peer.ask(f"errors {width} {files[0]} {files[1]} {files[2]}", end))
    return {"name": f"precision {name} beside PyTorch's", "ok": errors["ours"] <= MOST_OF_PEER * errors["torch"],
            "detail": f"logits against PyTorch in float64, norm of the difference over the norm: {errors['ours']:.3g}, PyTorch's own {errors['torch']:.3g}, "
                      f"allowed {MOST_OF_PEER} times that"}


def run(ours_command, peer_command, tiny, has_bar, scratch, end):
    """All rows while there is time: (ratios, checks of precision, what was left out)."""
    base, side = (4, 32) if tiny else (64, 512)
    ratios, checks, not_run = [], [], []
    # What compiles comes last: it takes long. The last of each row: the seconds that must be left for it.
    rows = [("prepare", 1, "fp32", "eager", 1), ("prepare", 2, "fp32", "eager", 1), ("train", 2, "fp32", "eager", 1)] if tiny else [
        ("prepare", batch, width, "eager", 15) for width in ("fp16", "bf16") for batch in (1, 8)] + [("train", 8, "bf16", "eager", 40)] + [
        ("prepare", batch, "fp16", "compile", 60) for batch in (1, 8)] + [("train", 8, "fp16", "eager", 40), ("train", 8, "bf16", "compile", 90)]
    programs = []
    try:
        programs += [Program("furrow_gpu_bench --turns", ours_command, scratch / "turns-ours.log")]
        programs += [Program("the peer", peer_command, scratch / "turns-peer.log")]
        for narrow in ("fp16", "bf16"):
            checks.append(precision(*programs, narrow, f"unet{base} {side} b1 {narrow}", scratch, end))
        for word, batch, width, kind, seconds in rows:
            name = f"unet{base} {side} b{batch} {width}" + (" step" if word == "train" else "")
            if time.monotonic() + seconds > end:
                not_run.append(f"side by side: {name}, {kind}: no time left")
                continue
            try:
                found = compare(*programs, name, batch, width, kind, scratch / "turns.bin", 3 if tiny else ROUNDS, end, has_bar, word)
            except NotHere as error:
                not_run.append(f"side by side: {name}, {kind}: {error}")
                continue
            if not found:
                not_run.append(f"side by side: {name}, {kind}: the peer cannot run it here")
            ratios += found
    except Stopped as error:
        not_run.append(f"side by side: {error}")
        if error.ended and error.program is programs[0]:   # ours: no peer's trouble
            checks.append({"name": "side by side: our program", "ok": False, "detail": str(error)})
    except (ValueError, OSError) as error:
        not_run.append(f"side by side: {error}")
    finally:
        for program in programs:
            program.stop()
    return ratios, checks, not_run
