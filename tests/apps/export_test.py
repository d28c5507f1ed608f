"""scripts/check_export.py at base 2, where a Python with PyTorch is: every network exported and opened there, byte for byte.

    export_test.py PATH_TO_FURROW [unittest arguments]
"""
import shutil
import subprocess
import sys
import unittest

import program


def python_with_torch():
    """A Python that has PyTorch: this one or the system's."""
    for python in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        if python and subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
            return python
    return None


class Export(program.Program):
    def test_pytorch_reads_the_same_bytes(self):
        python = python_with_torch()
        if python is None:
            self.skipTest("no Python with PyTorch here")
        result = subprocess.run([python, program.ROOT / "scripts" / "check_export.py", program.FURROW, "--base", "2"], capture_output=True, cwd=self.folder)
        self.assertEqual(result.returncode, 0, result.stdout.decode() + result.stderr.decode())
        rows = result.stdout.decode().splitlines()[2:]
        self.assertEqual(len(rows), 14)
        for row in rows:
            self.assertEqual(row.count("| equal "), 4, row)


if __name__ == "__main__":
    unittest.main()
