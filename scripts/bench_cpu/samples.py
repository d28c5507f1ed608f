"""Which samples count, and what is made of them. Standard library only."""
import json
import math
import statistics

LEAST_SHARE = 0.97   # of the processor time that a process was ready to use, what it must have got


def clean(sample):
    """Whether neighbours left a process alone: it got at least 97 % of the processors, whenever it had work for them."""
    wanted = sample["cpu_s"] + sample["waited_s"]
    return wanted > 0 and sample["cpu_s"] >= LEAST_SHARE * wanted


def spread(values):
    """{"median", "q1", "q3"}, or None of nothing."""
    values = list(values)
    if not values:
        return None
    if len(values) == 1:
        return dict.fromkeys(("median", "q1", "q3"), values[0])
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3}


def summary(samples):
    """Of turns, each of one run: the times of the clean ones in milliseconds, how many there are of how many, and the wall clock of all."""
    good = [s for s in samples if clean(s)]
    return {"ms": spread(1e3 * s["wall_s"] for s in good), "cpu_ms": spread(1e3 * s["cpu_s"] for s in good), "clean": len(good), "turns": len(samples),
            "all_ms": spread(1e3 * s["wall_s"] for s in samples)}


def ratio(peer, ours):
    """The peer's median over ours, or None."""
    return peer["median"] / ours["median"] if peer and ours else None


def rounded(value, digits=5):
    """Every float of a JSON value to so many significant digits."""
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v, digits) for v in value]
    if isinstance(value, float):
        return None if not math.isfinite(value) else float(f"{value:.{digits}g}")
    return value


def dump(told):
    """A report as JSON, a row of a list a line."""
    def member(value):
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n" + ",\n".join("  " + json.dumps(v) for v in value) + "\n ]"
        return json.dumps(value)
    return "{\n" + ",\n".join(f" {json.dumps(k)}: {member(v)}" for k, v in told.items()) + "\n}\n"
