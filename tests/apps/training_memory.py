"""One training run with made-up pictures, and how much memory it took: for memory_test.py and scripts/training_memory.py."""
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import zlib

# What every run has unless it says otherwise: two epochs, so that each phase comes twice and after every other.
PLAIN = {"size": 64, "batch_size": 2, "model.base": 16, "epochs": 2, "val_percent": 0.25, "overlays": 2, "log_every": 100,
         "threads": 2}
PHOTOS = 8


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, colour: int, rows) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def make_pictures(folder: pathlib.Path, side: int) -> None:
    """Photos of noise, which no decoder finds easy, and masks of lines."""
    rng = random.Random(1)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(PHOTOS):
        (folder / "images" / f"{i}.png").write_bytes(png(side, 2, (rng.randbytes(3 * side) for _ in range(side))))
        line, gap = bytes(side // 8) + b"\xff" * (side - side // 8), bytes(side)
        (folder / "masks" / f"{i}.png").write_bytes(png(side, 0, (line if y % 16 == i else gap for y in range(side))))


def run(furrow: str, folder: pathlib.Path, settings: dict, timeout: float = 300) -> dict:
    """Trains in `folder`. foretold, peak: bytes, of the pre-flight and of the process at its end; said: the line;
    seconds: of processor time."""
    settings = {**PLAIN, **settings}
    side = settings.pop("photos", settings["size"] + 30)  # of the photos in their files, pixels
    pictures = folder / f"pictures{side}"
    if not pictures.exists():
        make_pictures(pictures, side)
    shutil.rmtree(pictures / "run", ignore_errors=True)
    words = [furrow, "train", "--images", "images", "--masks", "masks", "-o", "run", "--device", "cpu"]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    before = os.times()
    done = subprocess.run(words, cwd=pictures, capture_output=True, text=True, timeout=timeout)
    after = os.times()
    if done.returncode != 0:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr}")
    memory = json.loads((pictures / "run" / "run.json").read_text())["memory"]
    said = [line for line in done.stderr.splitlines() if "memory: about" in line]
    return {"foretold": memory["foretold_bytes"], "peak": memory["peak_bytes"], "said": said[0] if said else "",
            "seconds": after.children_user + after.children_system - before.children_user - before.children_system}
