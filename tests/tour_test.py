#!/usr/bin/env python3
"""docs/tour.md leads through exactly seven files of at most 1,500 lines in all, nn/tape.cc has at most 150, and every link of the docs leads somewhere."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    tour = (ROOT / "docs/tour.md").read_text()
    stops = re.findall(r"^\d+\. \[([^\]]+)\]\(\.\./\1\)$", tour, re.M)
    lines = {stop: (ROOT / stop).read_text().count("\n") for stop in stops}
    bad = []
    if len(stops) != 7:
        bad.append(f"the tour has {len(stops)} stops, not 7")
    if sum(lines.values()) > 1500:
        bad.append(f"the tour's files have {sum(lines.values())} lines, more than 1,500: {lines}")
    if (tape := (ROOT / "nn/tape.cc").read_text().count("\n")) > 150:
        bad.append(f"nn/tape.cc has {tape} lines, more than the 150 that a page of autograd may have")
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("weights/*.md"), *ROOT.glob("examples/*.md")]:
        bad += [f"{page.relative_to(ROOT)}: {mark} was never filled in" for mark in re.findall(r"@[A-Z0-9]+@", page.read_text())]
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                bad.append(f"{page.relative_to(ROOT)}: the link {target} leads nowhere")
    print("\n".join(bad) or f"{len(stops)} stops, {sum(lines.values())} lines; all links lead somewhere")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
