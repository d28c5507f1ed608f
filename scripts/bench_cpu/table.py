#!/usr/bin/env python3
"""The tables of a report of scripts/bench_cpu.sh in Markdown, and README's from it. Standard library only.

    table.py JSON                 prints every table
    table.py --write-readme JSON  writes README.md's table between its marks, and docs/images/cpu-performance.svg
    table.py --check JSON         fails where those differ from what JSON gives
    table.py --svg JSON FILE      draws it elsewhere
"""
import json
import pathlib
import sys

import svg

ROOT = pathlib.Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- bench-cpu -->", "<!-- /bench-cpu -->"
PICTURE = "docs/images/cpu-performance.svg"


def number(value):
    """Three significant digits, no exponent."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def threads_of(count):
    return f"{count} thread{'s' * (count > 1)}"


def times(found):
    """Median and quartiles, or how it comes that there are none."""
    if not found["ms"]:
        return "no clean sample"
    m = found["ms"]
    return f"{number(m['median'])} ({number(m['q1'])} to {number(m['q3'])})"


def cases(told):
    """[(its words, our row, peers' rows, the fastest first)]."""
    found = {}
    for r in told["rows"]:
        key = f"{r['network']}, {r['side']}², batch {r['batch']}, {threads_of(r['threads'])}"
        key += ", int8" if r.get("precision") == "int8" else ""   # reports from before there was int8 do not say
        found.setdefault(key, []).append(r)
    slow = float("inf")
    return [(key, next(r for r in rows if r["peer"] == "furrow"), sorted((r for r in rows if r["peer"] != "furrow"), key=lambda r: r["ratio"] or slow))
            for key, rows in found.items()]


def leanest(peers):
    return min(peers, key=lambda r: r["peak_MiB"], default=None)


def fastest(peers):
    """Its name; and, where it is the fastest of some alone because others have no clean sample, of how many."""
    timed = [r for r in peers if r["ratio"]]
    if not timed:
        return "none"
    return timed[0]["setting"] + (f" (of {len(timed)} that have clean samples, of {len(peers)})" if len(timed) < len(peers) else "")


def short(told):
    """Ours against the best of all others, a line a case."""
    lines = ["| network, size, batch, threads | Furrow ms | fastest other | its ms | its time / ours | Furrow's peak MiB | leanest other | its peak MiB |", "|---|---|---|---|---|---|---|---|"]
    for key, ours, peers in cases(told):
        best, lean = next((r for r in peers if r["ratio"]), None), leanest(peers)
        lines.append(f"| {key} | {times(ours)} | {fastest(peers)} | {times(best) if best else ''} | {number(best['ratio']) if best else ''} | "
                     f"{number(ours['peak_MiB'])} | {lean['setting'] if lean else 'none'} | {number(lean['peak_MiB']) if lean else ''} |")
    return lines


def first_results(told):
    if not told["first"]:
        return []
    lines = ["| first result, from process start | ms | time / Furrow's | peak MiB | clean |", "|---|---|---|---|---|"]
    for r in told["first"]:
        what = "the whole command on a photo" if r["peer"] == "furrow segment" else f"the network alone, {r['network']}, {r['side']}²"
        lines.append(f"| {r['setting']}: {what}, {threads_of(r['threads'])} | {times(r)} | {number(r['ratio'])} | {number(r['peak_MiB'])} | {r['clean']} of {r['turns']} |")
    return lines


def disk(told):
    found = told["disk"]
    weights = ", ".join(f"{name} {number(size)}" for name, size in found["weights_MiB"].items())
    lines = [f"Weights, MiB: {weights}. Without them, MiB:", "", "| on disk | installed | of which mapped libraries |", "|---|---|---|",
             f"| Furrow, its program with the default model inside | {number(found['program_MiB'])} | |"]
    lines += [f"| {p['name']} | {number(p['disk_MiB'])} | {number(p['mapped_MiB'])} |" for p in found["peers"]]
    return lines


def details(told):
    lines = []
    for key, ours, peers in cases(told):
        lines += [f"{key}: {number(ours['flops'] / 1e9)} GFLOP" + (f"; {ours['sets']} sets of processes" if ours["sets"] > 1 else ""), "",
                  "| setting | ms | CPU ms | time / Furrow's | peak MiB | largest error of a logit / rms | clean | ms of all turns |", "|---|---|---|---|---|---|---|---|"]
        for r in [ours, *peers]:
            error = f"{r['max_error'] / r['rms']:.1e}" if r["max_error"] is not None and r["rms"] else ""
            cpu = number(r["cpu_ms"]["median"]) if r["cpu_ms"] else ""
            lines.append(f"| {r['setting']} | {times(r)} | {cpu} | {number(r['ratio'])} | {number(r['peak_MiB'])} | {error} | {r['clean']} of {r['turns']} | {number(r['all_ms']['median']) if r['all_ms'] else ''} |")
        lines.append("")
    return lines


def left_out(told):
    return [f"not run: {n['where']}: {n['setting']}: {n['reason']}" for n in told["not_run"]] + [f"check failed: {c['name']}: {c['detail']}" for c in told["checks"] if not c["ok"]]


def head(told):
    m, c, g = told["machine"], told["ceilings"], told["guard"]
    load = f"{min(m['load']):.1f} to {max(m['load']):.1f}" if m["load"] else "unknown"
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    return (f"{m['cpu']}, {m['cores']} processors, load {load}; one core: {number(c['flops_per_s'] / 1e9)} GFLOP/s, copies {number(c['bytes_per_s'] / 1e9)} GB/s. "
            f"{told['date']}, {told['commit']}. {versions}. Medians and quartiles of turns that got {100 * g['least_share']:.0f} % of the processors.")


def whole(told):
    parts = [[head(told)], details(told)[:-1], short(told), first_results(told), disk(told), left_out(told)]
    return "\n\n".join("\n".join(p) for p in parts if p)


def readme_part(told):
    """What stands between the marks of README.md."""
    parts = [[f"![Time of the best other over Furrow's, and the roofline]({PICTURE})"], short(told), first_results(told), disk(told), [head(told)], left_out(told)]
    return "\n" + "\n\n".join("\n".join(p) for p in parts if p) + "\n"


def with_part(text, part):
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no {BEGIN} ... {END}")
    return before + begin + part + end + after


def main():
    arguments = sys.argv[1:]
    verb = arguments.pop(0) if arguments and arguments[0].startswith("--") else ""
    if verb not in ("", "--write-readme", "--check", "--svg") or len(arguments) != 1 + (verb == "--svg"):
        print(__doc__, file=sys.stderr)
        return 2
    told = json.loads(pathlib.Path(arguments[0]).read_text(encoding="utf-8"))
    readme = ROOT / "README.md"
    wanted = {readme: with_part(readme.read_text(encoding="utf-8"), readme_part(told)), ROOT / PICTURE: svg.draw(told, cases(told))}
    if verb == "--write-readme":
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
    elif verb == "--svg":
        pathlib.Path(arguments[1]).write_text(wanted[ROOT / PICTURE], encoding="utf-8")
    elif verb == "--check":
        wrong = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        for path in wrong:
            print(f"{path.relative_to(ROOT)} is not what {arguments[0]} gives: scripts/bench_cpu.sh --write-readme {arguments[0]}")
        return 1 if wrong else 0
    else:
        print(whole(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
