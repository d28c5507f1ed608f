"""The first result from process start: exec to exit, every program anew, in turns. Standard library only."""
import shutil

from case import START_SECONDS, command_of, surroundings
from program import Ended, run_once
from samples import clean, ratio, summary


def measure(lab, case, settings, architecture, files, rounds, photo):
    """Rows of the network alone for every setting, and of `furrow segment` on a photo where `photo` is (program, picture)."""
    commands = {}
    for setting in settings:
        if setting.needs and lab.export(setting.needs, case, architecture, files):
            continue   # said where its turns were
        commands[setting.name] = (setting, [*command_of(setting, case, architecture, {**files, "logits": files["logits"].with_suffix(".once")}), "--once"])
    if photo:
        out = lab.scratch / "photo"
        commands["furrow segment"] = (None, [photo[0], "segment", photo[1], "-o", out, "--force", "--threads", case.threads])
    samples = {name: [] for name in commands}
    peaks = {}
    for _ in range(3 * rounds):
        for name, (_, command) in list(commands.items()):
            try:
                one = run_once(command, surroundings(lab, False), lab.scratch / "once.log", START_SECONDS)
            except (Ended, OSError) as error:
                lab.leave_out(f"first result, {case.text()}", name, str(error))
                del commands[name], samples[name]
                continue
            samples[name].append(one)
            peaks[name] = max(peaks.get(name, 0), one["peak_MiB"])
        if all(sum(map(clean, s)) >= rounds for s in samples.values()):
            break
    shutil.rmtree(lab.scratch / "photo", ignore_errors=True)
    own = next((name for name, (setting, _) in commands.items() if setting and setting.ours), None)
    ours = summary(samples[own]) if own else {"ms": None}
    rows = []
    for name, (setting, _) in commands.items():
        found = {"network": case.network, "side": case.side if setting else None, "threads": case.threads, "setting": name, "peer": setting.peer if setting else "furrow segment",
                 **summary(samples[name]), "peak_MiB": peaks[name]}
        found["ratio"] = ratio(found["ms"], ours["ms"]) if setting and not setting.ours else None
        rows.append(found)
    return rows
