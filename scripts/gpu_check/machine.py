"""What nvidia-smi says of the GPU, once and all the while, and which Python has PyTorch. Standard library only."""
import re
import subprocess
import threading
import time


def smi(fields="name,driver_version,compute_cap,memory.total,clocks.max.sm,clocks.sm,power.limit,temperature.gpu"):
    """What nvidia-smi says of the first GPU, or an empty object."""
    try:
        told = subprocess.run(["nvidia-smi", "-i", "0", f"--query-gpu={fields}", "--format=csv,noheader"], capture_output=True, text=True, timeout=8)
        values = [v.strip() for v in told.stdout.strip().split("\n")[0].split(",")]
        return dict(zip(fields.split(","), values)) if told.returncode == 0 else {}
    except (OSError, subprocess.SubprocessError):
        return {}


class Sampler:
    """Clock and power of the GPU, once a second, while its block runs."""
    FIELDS = "clocks.sm,power.draw,temperature.gpu"

    def __enter__(self):
        self.samples, self.times, self.stop = [], [], threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        return self

    def work(self):
        while not self.stop.is_set():
            sample = smi(self.FIELDS)
            if not sample:
                return
            self.times.append(time.time())
            self.samples.append({k: float(re.sub(r"[^0-9.]", "", v) or 0) for k, v in sample.items()})
            self.stop.wait(1)

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(timeout=10)

    def between(self, began, ended):
        """Medians of clock and power from a second before `began` to a second after `ended`, or of nothing."""
        at = [s for t, s in zip(self.times, self.samples) if began is not None and began - 1 <= t <= ended + 1]
        return {name: sorted(s[field] for s in at)[len(at) // 2] if at else None for name, field in (("sm_mhz", "clocks.sm"), ("watts", "power.draw"))}

    def summary(self):
        of = {f: sorted(s[f] for s in self.samples) for f in self.FIELDS.split(",")}
        return {f: {"least": v[0], "median": v[len(v) // 2], "most": v[-1]} for f, v in of.items()}


def imports_torch(python):
    try:
        return subprocess.run([python, "-c", "import torch"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
