"""A program that is timed in turns (bench/cpu/serve.h), stopped while others have theirs; and one that runs once. Standard
library only."""
import json
import os
import pathlib
import select
import signal
import subprocess
import threading
import time


class Ended(Exception):
    """A program that ended, said something else than JSON is, or did not answer in time."""


def unloved():
    """Between fork and exec: where memory runs out, the system ends this program and no other."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


class Program:
    """`log`: a path for what it writes to standard error."""

    def __init__(self, command, environment, log):
        self.log, self.rest = pathlib.Path(log), b""
        with open(log, "wb") as errors:
            self.process = subprocess.Popen([str(c) for c in command], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            bufsize=0, start_new_session=True, preexec_fn=unloved)

    def answer(self, seconds):
        """The next line that is JSON; libraries print others."""
        end = time.monotonic() + seconds
        while True:
            while b"\n" not in self.rest:
                ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
                data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
                if not data:
                    raise Ended(f"no answer within {seconds:.0f} s" if not ready else self.last_words())
                self.rest += data
            line, _, self.rest = self.rest.partition(b"\n")
            if line.startswith(b"{"):
                try:
                    return json.loads(line)
                except ValueError:
                    raise Ended(f"answered what is no JSON: {line[:80]!r}") from None

    def last_words(self):
        code = self.process.wait()
        return ended(code, self.log)

    def ask(self, line, seconds):
        """Its answer to `line`; it runs from here to there and is stopped again, so that threads of its own that spin take
        nothing from others' turns."""
        self.resume()
        try:
            self.process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            pass   # answer() says what it said last
        told = self.answer(seconds)
        self.pause()
        return told

    def signal(self, number):
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def stop(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def ended(code, log):
    """How a program ended, and its last line."""
    lines = [line.strip() for line in pathlib.Path(log).read_text(errors="replace").splitlines() if line.strip()]
    how = f"ended by signal {-code}" if code < 0 else f"ended with status {code}"
    return f"{how}: {lines[-1][:200]}" if lines else how


def run_once(command, environment, log, seconds):
    """From exec to exit: {"wall_s", "cpu_s", "waited_s", "peak_MiB"}. waited: of the first thread; what others waited for a
    processor is gone with them. Throws Ended unless it ends with status 0."""
    start = time.monotonic()
    with open(log, "wb") as errors:
        process = subprocess.Popen([str(c) for c in command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                                   start_new_session=True, preexec_fn=unloved)
    timer = threading.Timer(seconds, lambda: os.killpg(process.pid, signal.SIGKILL))
    timer.start()
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)   # it stays readable until wait4()
        wall = time.monotonic() - start
        waited = first_thread_waited(process.pid)
    finally:
        timer.cancel()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Ended(ended(process.returncode, log))
    return {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "waited_s": waited, "peak_MiB": used.ru_maxrss / 1024}


def first_thread_waited(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) * 1e-9
    except (OSError, IndexError):
        return 0.0
