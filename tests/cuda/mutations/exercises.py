"""The exercises and the debugger's session of docs/emulator.md, done as the page says: what it prints is what comes out.

The page is of g++ 12: the sanitizers of other compilers say some of it in other words.
"""
import pathlib
import re
import shutil
import subprocess

import mutant

PAGE = mutant.ROOT / "docs/emulator.md"
TEST = "cuda_ladder_test"
TILE, MMA = "ladder/2_shared_tile.cu", "ladder/4_mma.cu"
TILE_TEST, MMA_TEST = "Ladder.Step2SharedTile", "Ladder.Step4Mma"
# Heading on the page, (source, test), edits, builds whose output is shown, what of it differs from run to run.
EXERCISES = [
    ("1. Delete a barrier.", (TILE, TILE_TEST), [("        }\n    }\n    __syncthreads();\n  }", "        }\n    }\n  }")],
     ["plain", "thread"], None),
    ("2. Swap a fragment.", (MMA, MMA_TEST),
     [("a[m][half] =", "a[m][half * 2] ="), ("a[m][half + 2] =", "a[m][half * 2 + 1] =")], ["plain"], None),
    # Reads what lies behind the picture.
    ("3. Drop a bounds check.", (TILE, TILE_TEST), [("from_column < w && ", "")], ["plain", "address"],
     r"(?<=\()\d+(?= of)|(?<=worst at ).*(?=, allowed)"),
]
# Addresses, processes, the program, paths before the tree's own folders, namespaces, columns.
VARIES = [r"^==\d+==", r"\(\w+\+0x[0-9a-f]+\)", r"0x[0-9a-f]+", r"pid=\d+", r"(?<![\w.])[\w.+/-]*/(?=(?:tests|kernels|scripts)/)",
          r"furrow::emulated::", r"furrow::emu::", r"\(anonymous namespace\)::", r"(?<=\.cu:\d\d):\d+"]


def plain(line: str, also: str | None = None) -> str:
    """The line without what differs from run to run (of `also` a * is left) and without a frame's arguments."""
    for pattern in VARIES:
        line = re.sub(pattern, "", line)
    if also is not None:
        line = re.sub(also, "*", line)
    line = re.sub(r"(#\d+) +(?:in )?", r"\1 ", line)
    line = re.sub(r"((?:#\d+|Breakpoint \d+,) \w+) ?\(.*\)(?= )", r"\1", line)
    return re.sub(r"\s+", " ", line).strip()


def missing(shown: list[str], printed: str, also: str | None = None) -> str | None:
    """The first line of the page that does not come out, in the page's order; None where all do."""
    lines = iter([plain(line, also) for line in printed.splitlines()])
    for line in shown:
        if line.strip() and not any(plain(line, also) == other for other in lines):
            return line
    return None


def blocks(text: str) -> list[str]:
    return re.findall(r"^```\n(.*?)^```$", text, re.M | re.S)


def changed_lines(source: str, edits: list[tuple[str, str]]) -> list[int]:
    """Numbers of the lines changed; of lines removed the first."""
    before, after = (text.splitlines() for text in mutant.changed(source, edits))
    found = [i for i, (a, b) in enumerate(zip(before, after), 1) if a != b]
    return found if len(before) == len(after) else found[:1]


def said_of(page: str, heading: str) -> str:
    start = page.index(f"**{heading}**")
    return page[start:(page + "\n**").index("\n**", start + 2)]


def check(builder: mutant.Builder) -> int:
    """Prints a line for each exercise; how many are not as the page says."""
    page, wrong = PAGE.read_text(), 0
    for heading, (source, test), edits, kinds, also in EXERCISES:
        said, printed, failed = said_of(page, heading), "", True
        for kind in kinds:
            status, text = mutant.run(builder.program(kind, source, TEST, source, edits), f"--gtest_filter={test}")
            printed, failed = printed + text, failed and status != 0
        fault = None if failed else f"{test} passes"
        for number in changed_lines(source, edits):
            if not re.search(rf"\blines? (?:\d+ and )?{number}\b", said):
                fault = f"the page does not say line {number}"
        for block in blocks(said):
            line = missing(block.splitlines(), printed, also)
            if line is not None:
                fault = f"the page shows, and it did not print: {line}"
        wrong += fault is not None
        print(f"killed: exercise {heading}" if fault is None else f"WRONG: exercise {heading} {fault}\n{printed[:3000]}", flush=True)
    return wrong + debugger(builder, page)


def debugger(builder: mutant.Builder, page: str) -> int:
    """The session of the page, its commands typed again."""
    if shutil.which("gdb") is None:
        print("skipped: the debugger's session, as there is no gdb")
        return 0
    start = page.index("## In the debugger")
    session = "".join(blocks(page[start:page.index("\n## ", start + 1)]))
    program = builder.program("debug", TILE, TEST, TILE, [])
    command = ["gdb", "-nx", "-batch", "-ex", "set width 0", "-ex", "set style enabled off",
               "-ex", "set print frame-arguments none"]
    for line in re.findall(r"^\(gdb\) (.*)$", session, re.M):
        command += ["-ex", f"echo (gdb) {line}\\n", "-ex", line]
    command += ["--args", str(program), f"--gtest_filter={TILE_TEST}"]
    printed = subprocess.run(command, cwd=mutant.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=mutant.TIMEOUT).stdout
    line = missing(session.splitlines()[1:], printed)   # the first starts gdb
    print("as shown: the debugger's session" if line is None else f"WRONG: the debugger's session did not print: {line}\n{printed}")
    return int(line is not None)
