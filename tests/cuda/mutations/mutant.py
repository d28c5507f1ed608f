"""Programs of a release build with one of its sources changed, or compiled otherwise: for mutations.py and exercises.py."""
import json
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
TIMEOUT = 600   # seconds of a test; those here take a few
ENDLESS = 124   # the status of one that took more
# Of the kernel's source and of the emulator's sources (as kernels/CMakeLists.txt compiles them for these), of the link.
SANITIZE = "-fno-omit-frame-pointer -fno-sanitize-recover=all -g1 -O1 -U_FORTIFY_SOURCE"
FLAGS = {
    "plain": None,
    "address": (f"-fsanitize=address,undefined {SANITIZE}", "-fsanitize=address,undefined -fno-omit-frame-pointer -g1",
                "-fsanitize=address,undefined"),
    "thread": (f"-fsanitize=thread {SANITIZE}", "-DFURROW_EMU_TSAN=1 -fno-tree-loop-distribute-patterns -fno-builtin -g1",
               "-fsanitize=thread"),
    "debug": ("-O0 -g -U_FORTIFY_SOURCE", "-g -U_FORTIFY_SOURCE", "-g"),
}


def changed(name: str, edits: list[tuple[str, str]]) -> tuple[str, str]:
    """The text of kernels/cuda/NAME as it is, and with every edit made; each must have one place."""
    before = after = (ROOT / "kernels/cuda" / name).read_text()
    for old, new in edits:
        if before.count(old) != 1:
            sys.exit(f"{name}: {before.count(old)} places of {old!r}, not 1: the mutation no longer fits the kernel")
        after = after.replace(old, new)
    return before, after


class Builder:
    """Compiles and links with the commands of `build`, a release build with Ninja, in `folder`."""

    def __init__(self, build: pathlib.Path, folder: pathlib.Path):
        self.build, self.folder, self.emulator = build, folder, {}
        self.kernels, self.engine = {}, {}
        for c in json.loads((build / "compile_commands.json").read_text()):
            file = pathlib.Path(c["file"])
            if "furrow_emulated.dir" in c["command"]:
                self.kernels[str(file.relative_to(ROOT / "kernels/cuda"))] = c["command"]
            elif "furrow_kernels.dir" in c["command"] and file.parent == ROOT / "kernels/emu":
                self.engine[file.name] = c["command"]

    def compile(self, command: str, to: pathlib.Path, flags: str, source=None) -> pathlib.Path:
        words = [w for w in shlex.split(command) if w != "-Werror"]
        words[words.index("-o") + 1] = str(to)
        if source is not None:   # the changed text comes before the tree's, itself or as an included header
            words.insert(next(i for i, w in enumerate(words) if w.startswith("-I")), f"-I{source}")
        if source is not None and (source / pathlib.Path(words[-1]).relative_to(ROOT)).exists():
            words[-1] = str(source / pathlib.Path(words[-1]).relative_to(ROOT))
        words[-2:-2] = shlex.split(flags)
        subprocess.run(words, cwd=self.build, check=True)
        return to

    def engine_of(self, kind: str) -> list[pathlib.Path]:
        """The emulator's objects for a kind of build, made once."""
        if FLAGS[kind] is None:
            return []
        if kind not in self.emulator:
            self.emulator[kind] = [self.compile(command, self.folder / f"{name}.{kind}.o", FLAGS[kind][1])
                                   for name, command in self.engine.items()]
        return self.emulator[kind]

    def program(self, kind: str, source: str, test: str, file: str, edits: list[tuple[str, str]]) -> pathlib.Path:
        """`test` with kernels/cuda/SOURCE compiled anew, where kernels/cuda/FILE (itself or a header) has the edits."""
        folder = self.folder / "changed"
        copy = folder / "kernels/cuda" / file
        if edits:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(changed(file, edits)[1])
        flags, _, link_flags = FLAGS[kind] or ("", "", "")
        mutant = self.compile(self.kernels[source], self.folder / "mutant.o", flags, folder if edits else None)
        copy.unlink(missing_ok=True)
        objects = [mutant, *self.engine_of(kind)]
        link = subprocess.run(["ninja", "-t", "commands", "-s", f"tests/cuda/{test}"], cwd=self.build, check=True,
                              capture_output=True, text=True).stdout.split(" && ")[1]
        library, program = "kernels/libfurrow_kernels.a", self.folder / "test"
        link = link.replace(library, f"{shlex.join(map(str, objects))} {library}", 1)   # taken before the library's own
        link = link.replace(f"-o tests/cuda/{test}", f"{link_flags} -o {program}", 1)
        subprocess.run(link, cwd=self.build, check=True, shell=True)
        return program


def run(program: pathlib.Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output, both streams in one."""
    try:
        result = subprocess.run([program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        return ENDLESS, (error.stdout or b"").decode(errors="replace")
    return result.returncode, result.stdout.decode(errors="replace")
