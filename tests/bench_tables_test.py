#!/usr/bin/env python3
"""README.md's table of scripts/bench_cpu.sh and its picture are what bench/results/cpu.json gives, where there is one; without one
README.md claims nothing between the marks."""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts" / "bench_cpu"))
sys.dont_write_bytecode = True
import svg  # noqa: E402
import table  # noqa: E402


def differences(readme, picture, told):
    """What is not as the report has it. `told` None: there is no report; `picture` None: no picture."""
    if readme.count(table.BEGIN) != 1 or readme.count(table.END) != 1:
        return [f"README.md has not one pair of {table.BEGIN} and {table.END}"]
    if told is None:
        claimed = readme.split(table.BEGIN)[1].split(table.END)[0].strip()
        return ["README.md has a table, and bench/results/cpu.json is not there"] if claimed else []
    bad = [] if table.with_part(readme, table.readme_part(told)) == readme else ["README.md's table is not what bench/results/cpu.json gives"]
    if picture != svg.draw(told, table.cases(told)):
        bad.append(f"{table.PICTURE} is not what bench/results/cpu.json gives")
    return bad


SPREAD = {"median": 2.0, "q1": 1.0, "q3": 3.0}
ROW = {"network": "n", "side": 32, "batch": 1, "threads": 1, "set": 0, "ms": SPREAD, "cpu_ms": SPREAD, "clean": 3, "turns": 4, "all_ms": SPREAD, "peak_MiB": 5.0,
       "max_error": None, "rms": None, "ratio": None, "ours_ms": None}
PLANTED = {"date": "", "commit": "", "versions": {}, "machine": {"cpu": "", "cores": 1, "load": []}, "ceilings": {"flops_per_s": 1e9, "bytes_per_s": 1e9}, "guard": {"least_share": 0.97},
           "rows": [{**ROW, "setting": "Furrow", "peer": "furrow", "flops": 1e6, "bytes": 1e6, "sets": 1}, {**ROW, "setting": "p", "peer": "p", "ratio": 1.5, "max_error": 1e-6, "rms": 1.0}],
           "first": [], "disk": {"program_MiB": 8.0, "weights_MiB": {"n": 1.0}, "peers": []}, "not_run": [], "checks": []}


def self_check():
    """The rule sees what is planted."""
    empty = f"a {table.BEGIN}{table.END} b"
    full, picture = table.with_part(empty, table.readme_part(PLANTED)), svg.draw(PLANTED, table.cases(PLANTED))
    other = json.loads(json.dumps(PLANTED))
    other["rows"][1]["ratio"] = 1.6
    wanted = [((empty, None, None), 0), ((full, None, None), 1), ((full, picture, PLANTED), 0), ((empty, picture, PLANTED), 1), ((full, None, PLANTED), 1), ((full, picture, other), 2),
              (("no marks", None, None), 1)]
    return [f"self-check {i}: {found}" for i, (given, count) in enumerate(wanted) if len(found := differences(*given)) != count]


def main():
    report, picture = ROOT / "bench/results/cpu.json", ROOT / table.PICTURE
    told = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
    drawn = picture.read_text(encoding="utf-8") if picture.exists() else None
    bad = self_check() + differences((ROOT / "README.md").read_text(encoding="utf-8"), drawn, told)
    print("\n".join(bad) or ("README.md's table is the report's" if told else "no report yet, and README.md claims none"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
