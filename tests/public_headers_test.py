#!/usr/bin/env python3
"""The installed headers include only each other and the standard library, and their list stays short."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOST = 20


def main() -> int:
    text = (ROOT / "cmake/FurrowInstall.cmake").read_text()
    headers = re.search(r"set\(FURROW_PUBLIC_HEADERS\s+([^)]+)\)", text).group(1).split()
    bad = []
    for header in headers:
        for kind, target in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', (ROOT / header).read_text(), re.M):
            if kind == '"' and target not in headers:
                bad.append(f"{header} includes {target}, which is not installed")
            if kind == "<" and "/" in target:
                bad.append(f"{header} includes <{target}>: users would need that package")
    if len(headers) > MOST:
        bad.append(f"{len(headers)} public headers; at most {MOST}")
    print("\n".join(bad) or f"{len(headers)} public headers, closed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
