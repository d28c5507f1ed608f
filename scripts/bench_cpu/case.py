"""One case, a network at one size, batch and number of threads: every setting in turns. Standard library only."""
import json
import math
import os
import pathlib
import subprocess

from program import Ended, Program, run_once
from samples import clean, ratio, summary
from settings import KEEP, arguments

BURST_SECONDS = 0.2   # a turn lasts at least this long
START_SECONDS, TURN_SECONDS = 900, 600
MOST_ERROR = 1e-3     # of a logit, over the logits' root mean square: float32 by any route is 100 times nearer
MOST_MOVED = 0.15     # in 8 bits, of all logits together from those in float32, root mean squares: random weights are moved by 0.07


class Lab:
    """What cases share: our program, where files go, exported networks, what was left out."""

    def __init__(self, turns_program, python, scratch, say):
        self.turns_program, self.python, self.scratch, self.say = turns_program, python, pathlib.Path(scratch), say
        self.not_run, self.versions, self.disk, self.checks = [], {}, {}, []
        self.exports = {}

    def leave_out(self, where, setting, reason):
        self.say(f"not run: {where}: {setting}: {reason}")
        self.not_run.append({"where": where, "setting": setting, "reason": reason})

    def own(self, *words):
        done = subprocess.run([str(w) for w in (self.turns_program, *words)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Ended((done.stderr.strip() or f"furrow_cpu_turns {words[0]}: status {done.returncode}").splitlines()[-1])
        return done.stdout

    def export(self, kind, case, architecture, files):
        """"" once the files that `kind` means lie in the folder of models, or why they do not."""
        folder = files["models"]
        key = (kind, folder)
        if key not in self.exports:
            log = self.scratch / f"export-{kind}.log"
            try:
                run_once([self.python, pathlib.Path(__file__).resolve().parents[2] / "bench/peers/cpu_export.py", "--weights", files["weights"],
                          "--network", architecture, "--side", case.side, "--batch", case.batch, "--models", folder, "--input", files["input"], "--kind", kind],
                         dict(os.environ), log, START_SECONDS)
                self.exports[key] = ""
            except Ended as error:
                self.exports[key] = f"the network could not be exported: {error}"
        return self.exports[key]


class Running:
    """A setting with its process, warmed up, and its samples."""

    def __init__(self, setting, program, told):
        self.setting, self.program, self.told, self.samples = setting, program, told, []
        self.count, self.peak = 1, 0.0
        self.count = max(1, math.ceil(BURST_SECONDS / max(1e-6, self.turn()["wall_s"])))

    def turn(self):
        told = self.program.ask(f"run {self.count}", TURN_SECONDS)
        return {key: told[key] / self.count for key in ("wall_s", "cpu_s", "waited_s")}

    def finish(self):
        """Ends the process; what it tells at the end."""
        self.program.resume()
        told = self.program.ask("end", 120)
        self.program.stop()
        return told


def available_mebibytes():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) / 1024


def resident_peak(program):
    try:
        text = pathlib.Path(f"/proc/{program.process.pid}/status").read_text(encoding="ascii", errors="replace")
        return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM")), 0.0)
    except OSError:
        return 0.0


def command_of(setting, case, architecture, files):
    general, further = arguments(case, architecture, files)
    if setting.ours:
        general, _ = arguments(case, architecture, {**files, "weights": files["weights8"]} if case.precision == "int8" else files)
        return [*setting.command, *general]
    if setting.peer == "onednn":
        return [*setting.command, *general[2:], "--weights", files["models"] / "folded.bin"]
    return [*setting.command, *general, *further]


def surroundings(lab, keep):
    return {**os.environ, **(KEEP if keep else {}), "PYTHONDONTWRITEBYTECODE": "1", "TORCHINDUCTOR_CACHE_DIR": str(lab.scratch / "inductor")}


def start(lab, setting, case, architecture, files):
    """A Running, its logits held against ours. Throws Ended."""
    if setting.needs and (reason := lab.export(setting.needs, case, architecture, files)):
        raise Ended(reason)
    files = {**files, "logits": files["logits"].with_suffix(".ours" if setting.ours else ".peer")}
    log = lab.scratch / f"program-{''.join(c if c.isalnum() else '_' for c in setting.name)}.log"
    program = Program(command_of(setting, case, architecture, files), surroundings(lab, not setting.ours), log)
    try:
        told = program.answer(START_SECONDS)
        program.pause()
        if case.precision == "int8":
            told |= nearness(lab, files)
        elif not setting.ours:
            told |= agreement(lab, files)
        return Running(setting, program, told)
    except BaseException:
        program.stop()
        raise


def agreement(lab, files):
    found = json.loads(lab.own("compare", files["logits"].with_suffix(".ours"), files["logits"]))
    if not found["max_error"] <= MOST_ERROR * found["rms"]:
        raise Ended(f"computes something else: a logit differs from ours by {found['max_error']:.3g}, where their root mean square is {found['rms']:.3g}")
    return found


def nearness(lab, files):
    """Of logits in 8 bits, ours too, to ours in float32."""
    found = json.loads(lab.own("compare", files["logits"].with_suffix(".exact"), files["logits"]))
    if not found["rms_error"] <= MOST_MOVED * found["rms"]:
        raise Ended(f"computes something else: its logits differ from ours in float32 by {found['rms_error']:.3g}, and those have a root mean square of {found['rms']:.3g}")
    return found


def in_eight_bits(lab, case, files):
    """The files of a case in 8 bits: our weights with scales from its input, and our logits in float32."""
    files = {**files, "weights8": lab.scratch / "weights8.safetensors"}
    general, _ = arguments(case, "", files)
    lab.own("quantise", *general, files["weights8"])
    general, _ = arguments(case, "", {**files, "logits": files["logits"].with_suffix(".exact")})
    lab.own("serve", *general, "--once")
    return files


def take_turns(lab, case, running, rounds):
    """Rounds until every setting has as many clean samples as asked for, three times as many at most."""
    for _ in range(3 * rounds):
        for one in list(running):
            try:
                one.samples.append(one.turn())
            except (Ended, KeyError, TypeError) as error:
                lab.leave_out(case.text(), one.setting.name, f"in its turns: {error}")
                one.program.stop()
                running.remove(one)
                if one.setting.ours:
                    return
        if all(sum(map(clean, one.samples)) >= rounds for one in running):
            return


def finish(lab, one, once):
    """Its peak memory: of a peer the lower of its turns' and of one run without KEEP, for that is the allocator's choice."""
    told = one.finish()
    if not one.setting.ours:
        told["peak_MiB"] = min(told["peak_MiB"], run_once(once, surroundings(lab, False), lab.scratch / "once.log", START_SECONDS)["peak_MiB"])
    if one.setting.peer not in lab.disk and "disk_MiB" in told:
        lab.disk[one.setting.peer] = {"name": one.told.get("name", one.setting.name), **{k: told[k] for k in ("packages", "disk_MiB", "mapped_MiB")}}
    return told["peak_MiB"]


def row(case, one, peak, ours, number):
    found = {"network": case.network, "side": case.side, "batch": case.batch, "threads": case.threads, "precision": case.precision,
             "setting": one.setting.name, "peer": one.setting.peer, "set": number, **summary(one.samples), "peak_MiB": peak,
             **{key: one.told.get(key) for key in ("max_error", "rms_error", "rms")}}
    found["ratio"] = None if one.setting.ours else ratio(found["ms"], ours["ms"])
    found["ours_ms"] = None if one.setting.ours else ours["ms"]
    return found


def run_case(lab, case, settings, files, rounds):
    """(rows, the network in words). As many settings run side by side as memory holds; where it does not hold all, ours takes turns with one
    set of them after the other, and each ratio is taken within its set."""
    ours_setting, peers = settings[0], list(settings[1:])
    rows, own_samples, number = [], [], 0
    ours, running = None, []
    try:
        if case.precision == "int8":
            files = in_eight_bits(lab, case, files)
        ours = start(lab, ours_setting, case, "", files)
        architecture = ours.told["network"]
        lab.versions["Furrow"] = ours.told["version"]
        largest = resident_peak(ours.program)
        while peers or number == 0:
            number += 1
            running = [ours]
            while peers and (len(running) == 1 or available_mebibytes() > 2.5 * largest + 1024):
                setting = peers.pop(0)
                if available_mebibytes() < 1.5 * largest + 512:
                    lab.leave_out(case.text(), setting.name, "not enough memory is free")
                    continue
                try:
                    one = start(lab, setting, case, architecture, files)
                except (Ended, OSError, KeyError, TypeError) as error:
                    lab.leave_out(case.text(), setting.name, str(error))
                    continue
                lab.say(f"  {setting.name}: ready")
                running.append(one)
                largest = max(largest, resident_peak(one.program))
                lab.versions[one.told.get("name", setting.name)] = " ".join(filter(None, (one.told.get("version"), one.told.get("blas"))))
            ours.samples = []
            take_turns(lab, case, running, rounds)
            if ours not in running:
                raise Ended("ours ended")
            own_samples += ours.samples
            mine = summary(ours.samples)
            for one in running[1:]:
                try:
                    once = [*command_of(one.setting, case, architecture, {**files, "logits": files["logits"].with_suffix(".once")}), "--once"]
                    rows.append(row(case, one, finish(lab, one, once), mine, number))
                except (Ended, KeyError) as error:
                    lab.leave_out(case.text(), one.setting.name, f"at its end: {error}")
            running = []
        ours.samples = own_samples
        first = row(case, ours, finish(lab, ours, []), None, 0)
        first |= {"flops": ours.told["flops"], "bytes": ours.told["bytes"], "sets": number}
        return [first, *rows], architecture
    finally:
        for one in [*running, *([ours] if ours else [])]:
            one.program.stop()
