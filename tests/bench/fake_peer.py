#!/usr/bin/env python3
"""A peer of scripts/bench_cpu.sh that computes nothing: fake_peer.py HOW SETTING..., with the protocol of bench/cpu/serve.h.

HOW: good (our own logits, 2 s of processor time a run), differs (one logit is off), misshapen (one is missing), dies (in its
second turn), stillborn, busy (a neighbour has half of its processors), mixed (the same in every other turn), mute (no JSON), hangs (in its second turn)."""
import json
import pathlib
import sys
import time

how, words = sys.argv[1], sys.argv[2:]
settings = dict(zip(words[0::2], words[1::2]))
print("a library's greeting")
if how == "stillborn":
    sys.exit("no such model")
logits = pathlib.Path(settings["--logits"])
values = bytearray(logits.with_suffix(".ours").read_bytes())
if how == "differs":
    values[0:4] = b"\x00\x00\xc8\x42"   # 100.0
logits.write_bytes(values[4:] if how == "misshapen" else values)
if "--once" in words:
    sys.exit(0)
print(json.dumps({"name": f"Fake {how}", "version": "1"}), flush=True)
turns = 0
for line in sys.stdin:
    if line == "end\n":
        print(json.dumps({"peak_MiB": 1000.0, "packages": ["fake"], "disk_MiB": 7.0, "mapped_MiB": 3.0}), flush=True)
        break
    count = int(line.split()[1])
    turns += 1
    if how == "dies" and turns == 2:
        sys.exit("out of luck")
    if how == "hangs" and turns == 2:
        logits.with_suffix(".hangs").touch()
        time.sleep(1000)
    if how == "mute" and turns == 2:
        print("{not JSON", flush=True)
        continue
    waited = 1.0 if how == "busy" or (how == "mixed" and turns % 2) else 0.001
    print(json.dumps({"wall_s": (1 + waited) * count, "cpu_s": 2.0 * count, "waited_s": 2 * waited * count}), flush=True)
