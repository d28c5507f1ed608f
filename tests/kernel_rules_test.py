#!/usr/bin/env python3
"""Reads the CUDA kernels and checks the rules of kernels/cuda/simt.h, by which one text compiles for a GPU and for the emulator.

Each rule is first held against a text that breaks it, so that none can fall silent. Files are read with comments and
strings blanked. What a reader of text cannot see (which thread leaves before a barrier) is the emulator's to find.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "kernels/cuda"
WORDS = {"simt.h", "simt_device.h", "simt_host.h"}   # the words themselves, where CUDA's own spelling belongs
SKIPPED = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)
FORBIDDEN = [
    ("<<<", r"<<<", "launches are written LAUNCH(...)"),
    ("__shared__", r"\b__shared__\b", "shared memory is SHARED_ARRAY or DYNAMIC_SHARED"),
    ("asm", r"\b(?:__)?asm(?:__)?\b", "PTX stays in simt_device.h"),
    ("__activemask", r"\b__activemask\b", "which lanes run together is not defined"),
    ("static", r"^[ \t]+static\s+(?!(?:SIMT_\w+|constexpr)\b)[^(\n]*[;={]", "no static locals"),
]


def code_of(text: str) -> str:
    """The text with comments and strings blanked, its lines where they were; an #include keeps its path."""
    def blank(match: re.Match) -> str:
        line = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        if match[0][0] == '"' and re.match(r"\s*#\s*include", line):
            return match[0]
        return re.sub(r"[^\n]", " ", match[0])
    return SKIPPED.sub(blank, text)


def float_atomics(code: str) -> list[tuple[int, str]]:
    """atomicAdd on what its own file declares as float, or of a floating-point constant: as far as text shows it."""
    floats = set(re.findall(r"\b(?:float|double)\s*\*\s*(?:const\s+)?(?:__restrict__\s+)?(\w+)", code))
    floats |= set(re.findall(r"\b(?:float|double)\s+(\w+)\s*\[", code))
    floats |= set(re.findall(r"\b(?:SHARED_ARRAY|DYNAMIC_SHARED)\(\s*(?:float|double)\s*,\s*(\w+)", code))
    counts = set(re.findall(r"\b(?:unsigned|int|uint32_t|int32_t|uint64_t|PixelCount)\s*\*\s*(?:__restrict__\s+)?(\w+)", code))
    found = []
    for match in re.finditer(r"\batomicAdd\s*\(\s*&?\s*(?:\w+(?:\.|->))*(\w+)([^;]*);", code):
        line = code.count("\n", 0, match.start()) + 1
        if (match[1] in floats and match[1] not in counts) or re.search(r"\d\.\d*f?\b|\bfloat\b|\bto_float\b", match[2]):
            found.append((line, "floating-point atomicAdd: the sum would depend on the order of blocks"))
    return found


def violations(name: str, text: str, reaches_simt) -> list[str]:
    """reaches_simt(path): whether that header includes simt.h, itself or through others."""
    code, found = code_of(text), []
    def report(position: int, reason: str) -> None:
        found.append(f"{name}:{code.count(chr(10), 0, position) + 1}: {reason}")
    for word, pattern, reason in FORBIDDEN:
        for match in re.finditer(pattern, code, re.M):
            report(match.start(), f"{word}: {reason}")
    found += [f"{name}:{line}: {reason}" for line, reason in float_atomics(code)]
    for match in re.finditer(r"\b__global__\b([^({;]*)", code):
        if "__launch_bounds__" not in match[1]:
            report(match.start(), "a kernel without __launch_bounds__")
    if not text.startswith("//"):
        report(0, "does not open with a comment that says what it is")
    includes = re.findall(r'^\s*#\s*include\s*"([^"]+)"', code, re.M)
    simt = next((i for i in includes if reaches_simt(i)), None)
    if name.endswith(".h") and simt is not None and re.search(r"\bnamespace\s+furrow::gpu\b", code):
        found.append(f"{name}: declares furrow::gpu, which hosts include, and includes {simt}, which brings in simt.h")
    if re.search(r"\b(?:SIMT_DEVICE|SIMT_BOTH|__global__)\b", code):
        if not re.search(r"\bnamespace\s+furrow::SIMT_NS\b", code):
            found.append(f"{name}: kernel code outside furrow::SIMT_NS: both compilers would define the same symbol")
        if simt is None:
            found.append(f"{name}: kernel code without simt.h")
    return found


def reader(root: pathlib.Path):
    known: dict[str, bool] = {}
    def reaches(path: str) -> bool:
        if path == "kernels/cuda/simt.h":
            return True
        if path not in known:
            known[path] = False   # a cycle ends here
            if path.startswith("kernels/") and (root / path).exists():
                inner = re.findall(r'^\s*#\s*include\s*"([^"]+)"', (root / path).read_text(), re.M)
                known[path] = any(reaches(i) for i in inner)
        return known[path]
    return reaches


HEAD = '// A kernel.\n#include "kernels/cuda/simt.h"\nnamespace furrow::SIMT_NS {\n'
PLANTED = [   # (what the report must say, the text after HEAD)
    ("<<<", "void f() { k<<<1, 32>>>(); }"),
    ("__shared__", "  __shared__ float t[32];"),
    ("asm", '  asm volatile("bar.sync 0;");'),
    ("__activemask", "  const uint32_t m = __activemask();"),
    ("static", "  static int calls = 0;"),
    ("static", "  static float table[4];"),
    ("static", "  static bool done = false;"),
    ("atomicAdd", "void f(float* sum) { atomicAdd(sum + 1, x); }"),
    ("atomicAdd", "SHARED_ARRAY(float, sum, [32]);\natomicAdd(&sum[3], x);"),
    ("atomicAdd", "atomicAdd(p.total, 1.0f);"),
    ("__launch_bounds__", "__global__ void k(int n) {}"),
    ("outside furrow::SIMT_NS", None),
    ("does not open", None),
    ("without simt.h", None),
    ("declares furrow::gpu", None),
]
WHOLE = {   # planted texts that replace HEAD
    "outside furrow::SIMT_NS": '// A helper.\n#include "kernels/cuda/simt.h"\nnamespace furrow {\nSIMT_DEVICE int f() { return 1; }\n}',
    "does not open": HEAD.split("\n", 1)[1],
    "without simt.h": "// A helper.\nnamespace furrow::SIMT_NS {\nSIMT_DEVICE int f() { return 1; }\n}",
    "declares furrow::gpu": '// Arguments.\n#include "kernels/cuda/simt.h"\nnamespace furrow::gpu {\nstruct A {};\n}',
}
ALLOWED = """// <<<>>>, asm and __shared__ may be written about.
const char* text = "asm";
__global__ void __launch_bounds__(256) k(unsigned* counts, const float* x) { atomicAdd(counts + 1, 1u); }
struct Shape {
  static constexpr int kRows = 4;
  SIMT_DEVICE static int place(int row) { return row; }
};
static_assert(sizeof(int) == 4);
"""


def self_check() -> list[str]:
    reaches = reader(ROOT)
    blind = []
    for want, body in PLANTED:
        found = violations("planted.h", WHOLE[want] if body is None else HEAD + body + "\n}", reaches)
        if not any(re.search(want, line) for line in found):
            blind.append(f"the rule '{want}' does not see: {body or WHOLE[want]!r}; it reports {found}")
    blind += [f"a rule forbids what is allowed: {line}" for line in violations("allowed.h", HEAD + ALLOWED + "}", reaches)]
    return blind


def main() -> int:
    bad = self_check()
    listed_text = re.sub(r"#[^\n]*", "", (ROOT / "kernels/CMakeLists.txt").read_text())
    listed = re.search(r"set\(FURROW_KERNEL_SOURCES\s+([^)]+)\)", listed_text)[1].split()
    present = {p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*.cu")}
    bad += [f"kernels/CMakeLists.txt: {name} is listed in FURROW_KERNEL_SOURCES and does not exist" for name in sorted(set(listed) - present)]
    bad += [f"kernels/cuda/{name} is not in FURROW_KERNEL_SOURCES of kernels/CMakeLists.txt" for name in sorted(present - set(listed))]
    bad += [f"kernels/CMakeLists.txt: {name} is listed twice" for name in sorted({n for n in listed if listed.count(n) > 1})]
    files = [p for p in sorted(FOLDER.rglob("*")) if p.suffix in {".cu", ".h"} and p.name not in WORDS]
    kernels = 0
    reaches = reader(ROOT)
    for path in files:
        text = path.read_text()
        kernels += len(re.findall(r"\b__global__\b", code_of(text)))
        bad += violations(path.relative_to(ROOT).as_posix(), text, reaches)
    if len(files) < 40 or kernels < 40:
        bad.append(f"only {len(files)} files with {kernels} kernels found: is the tree complete?")
    print("\n".join(bad) or f"{len(files)} files, {kernels} kernels: all by the rules")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
