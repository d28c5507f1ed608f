"""The report of scripts/gpu_check.sh: its schema (bench/results/README.md), its table, its verdict.

    report.py FILE.json        prints the table; exit status 0: all checks hold, 1: some do not, 3: not such a file
"""
import json
import sys

SCHEMA = 1
STAGES = ("environment", "conformance", "kernel tests", "parity", "cold start", "benchmark", "peers")
NUMBER = (int, float)
# Field -> types that it may have, None standing for null.
TOP = {"schema": int, "date": str, "commit": str, "command": str, "device": str, "sizes": str, "machine": dict, "versions": dict,
       "stages": list, "checks": list, "ceilings": list, "rows": list, "peers": list, "not_run": list, "ok": bool}
STAGE = {"name": str, "status": str, "seconds": NUMBER, "reason": str}
CHECK = {"name": str, "ok": bool, "detail": str}
CEILING = {"name": str, "value": NUMBER, "unit": str, "how": str}
ROW = {"group": str, "name": str, "ms": NUMBER, "q1_ms": NUMBER, "q3_ms": NUMBER, "repeats": int, "timed": str, "note": str}
RATIO = {"row": str, "peer": str, "kind": str, "rounds": int, "ours_ms": dict, "peer_ms": dict, "ratio": dict, "bar": (*NUMBER, type(None)), "ok": bool}   # none in reports before ratios
SPREAD = {"median": NUMBER, "q1": NUMBER, "q3": NUMBER}
OPTIONAL_NUMBERS = ("tflops", "gbps", "floor_ms", "fraction_of_floor", "event_ms", "began", "ended", "sm_mhz", "watts")   # the last five: none in older reports


def problems(report):
    """What keeps `report` from being one, as a list of sentences."""
    found = []

    def check_fields(what, item, fields):
        if not isinstance(item, dict):
            return found.append(f"{what} is no object")
        for field, types in fields.items():
            if field not in item:
                found.append(f"{what} has no {field}")
            elif not isinstance(item[field], types) or (types is not bool and isinstance(item[field], bool)):
                found.append(f"{what}: {field} is {item[field]!r}")

    check_fields("the report", report, TOP)
    if found:
        return found
    if report["schema"] != SCHEMA:
        found.append(f"schema {report['schema']}, not {SCHEMA}")
    for kind, fields in (("stages", STAGE), ("checks", CHECK), ("ceilings", CEILING), ("rows", ROW), ("peers", {**ROW, "peer": str})):
        for i, item in enumerate(report[kind]):
            check_fields(f"{kind}[{i}]", item, fields)
    for i, ratio in enumerate(report.get("ratios", [])):
        check_fields(f"ratios[{i}]", ratio, RATIO)
        for field in ("ours_ms", "peer_ms", "ratio"):
            if isinstance(ratio, dict) and isinstance(ratio.get(field), dict):
                check_fields(f"ratios[{i}]: {field}", ratio[field], SPREAD)
    for i, row in enumerate(report["rows"] + report["peers"] + report.get("ratios", [])):
        for field in OPTIONAL_NUMBERS:
            if not isinstance(row.get(field), NUMBER + (type(None),)):
                found.append(f"row {i}: {field} is {row[field]!r}")
    names = tuple(s.get("name") for s in report["stages"] if isinstance(s, dict))
    if names != STAGES:
        found.append(f"stages are {names}, not {STAGES}")
    if any(s.get("status") not in ("passed", "failed", "not run") for s in report["stages"] if isinstance(s, dict)):
        found.append("a stage neither passed, nor failed, nor was left out")
    return found


def verdict(report):
    """True where every check holds and no stage failed."""
    return bool(report["checks"]) and all(c["ok"] for c in report["checks"]) and all(s["status"] != "failed" for s in report["stages"])


def show(value, form="{:.3g}"):
    return "" if value is None else form.format(value)


def print_table(report):
    machine = report["machine"]
    print(f"furrow {report['versions'].get('furrow', '?')}, commit {report['commit']}, {report['date']}")
    print(f"device {report['device']}; {machine.get('cpu', '?')}, {machine.get('cores', '?')} cores; {machine.get('gpu') or 'no GPU seen by nvidia-smi'}")
    if report["device"].startswith("emulated"):
        print("times are the emulator's and tell nothing about a GPU")
    best = {}   # fastest peer of each row
    for row in report["peers"]:
        key = (row["group"], row["name"])
        if key not in best or row["ms"] < best[key]["ms"]:
            best[key] = row
    if report["ceilings"]:
        print("\nceilings, measured in this run")
        for c in report["ceilings"]:
            print(f"  {c['name']:32} {c['value']:12.4g} {c['unit']:8} {c['how']}")
    if report["rows"]:
        print(f"\n{'group':10} {'row':58} {'ms':>9} {'iqr':>8} {'TFLOP/s':>8} {'GB/s':>8} {'floor':>9} {'of floor':>8} {'events':>9} {'MHz':>5} {'W':>4} {'peer ms':>9} {'ratio':>6}  fastest peer")
    for row in report["rows"]:
        peer = best.get((row["group"], row["name"]))
        print(f"{row['group']:10} {row['name']:58} {row['ms']:9.4g} {row['q3_ms'] - row['q1_ms']:8.2g} {show(row.get('tflops')):>8} {show(row.get('gbps')):>8} "
              f"{show(row.get('floor_ms')):>9} {show(row.get('fraction_of_floor'), '{:.0%}'):>8} "
              f"{show(row.get('event_ms'), '{:.4g}'):>9} {show(row.get('sm_mhz'), '{:.0f}'):>5} {show(row.get('watts'), '{:.0f}'):>4} "
              f"{show(peer and peer['ms'], '{:.4g}'):>9} {show(peer and peer['ms'] / row['ms'], '{:.2f}'):>6}  {peer['peer'] if peer else ''}")
    ours = {(row["group"], row["name"]) for row in report["rows"]}
    others = [row for row in report["peers"] if (row["group"], row["name"]) not in ours or row is not best[(row["group"], row["name"])]]
    if others:
        print("\nall other rows of the peers")
    for row in others:
        print(f"{row['group']:10} {row['name']:58} {row['ms']:9.4g} {row['q3_ms'] - row['q1_ms']:8.2g}  {row['peer']}")
    if report.get("ratios"):
        print(f"\nside by side, in turns, on the same inputs\n{'row':28} {'ms':>9} {'iqr':>8} {'peer ms':>9} {'iqr':>8} {'ratio':>6} {'quartiles':>14} {'bar':>4} {'MHz':>5} {'W':>4}  peer")
    for r in report.get("ratios", []):
        ours, peer, ratio = r["ours_ms"], r["peer_ms"], r["ratio"]
        print(f"{r['row']:28} {ours['median']:9.4g} {ours['q3'] - ours['q1']:8.2g} {peer['median']:9.4g} {peer['q3'] - peer['q1']:8.2g} {ratio['median']:6.2f} "
              f"{ratio['q1']:6.2f} to {ratio['q3']:4.2f} {show(r['bar'], '{:.1f}'):>4} {show(r.get('sm_mhz'), '{:.0f}'):>5} {show(r.get('watts'), '{:.0f}'):>4}  {r['peer']}{'' if r['ok'] else ': BELOW ITS BAR'}")
    print(f"\n{'stage':14} {'seconds':>8}")
    for stage in report["stages"]:
        print(f"{stage['name']:14} {stage['seconds']:8.1f}  {stage['status']}{': ' + stage['reason'] if stage['reason'] else ''}")
    for reason in report["not_run"]:
        print(f"not run: {reason}")
    wrong = [c for c in report["checks"] if not c["ok"]]
    for c in wrong:
        print(f"WRONG: {c['name']}: {c['detail']}")
    print(f"{len(report['checks'])} checks, {len(wrong)} wrong, {len(report['not_run'])} parts not run")


def main():
    if len(sys.argv) != 2:
        print(__doc__.strip().splitlines()[-1].strip(), file=sys.stderr)
        return 2
    try:
        with open(sys.argv[1]) as file:
            report = json.load(file)
    except (OSError, ValueError) as error:
        print(f"{sys.argv[1]}: {error}", file=sys.stderr)
        return 3
    found = problems(report)
    if found:
        print("\n".join(f"{sys.argv[1]}: {p}" for p in found), file=sys.stderr)
        return 3
    print_table(report)
    return 0 if verdict(report) and report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
