#!/usr/bin/python3
"""Writes tests/data/audit: a small U-Net's weights and ten training steps of it, by the very scripts of docs/audit.md.

  weights.pth   base 2, 3 -> 1, as PyTorch initialises it; batch norms with other scales and shifts than 1 and 0
  dump.pth      what dump.py makes of them; of the parameters, steps 1 and 10

  usage: make_audit_dump.py     (from anywhere; PyTorch 1.13 made what is committed)
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def write_scripts(folder):
    """The code blocks of docs/audit.md as dump.py and unet.py."""
    with open(os.path.join(ROOT, 'docs', 'audit.md'), encoding='utf-8') as page:
        blocks = re.findall(r'^```python\n(.*?)^```$', page.read(), re.MULTILINE | re.DOTALL)
    for name, block in zip(('dump.py', 'unet.py'), blocks, strict=True):
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as script:
            script.write(block)


WEIGHTS = '''
import sys, torch
from unet import UNet
torch.manual_seed(0)
net = UNet(3, 1, 2)
for module in net.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
        torch.nn.init.uniform_(module.weight, .5, 1.5)
        torch.nn.init.uniform_(module.bias, -.4, .4)
torch.save(net.state_dict(), sys.argv[1])
'''


def make(out, *kept, python=sys.executable):
    """weights.pth and dump.pth in the folder `out`."""
    with tempfile.TemporaryDirectory() as folder:
        write_scripts(folder)
        weights, dump = os.path.join(out, 'weights.pth'), os.path.join(out, 'dump.pth')
        environment = dict(os.environ, PYTHONPATH=folder)
        subprocess.run([python, '-c', WEIGHTS, weights], check=True, env=environment)
        subprocess.run([python, os.path.join(folder, 'dump.py'), weights, dump, *map(str, kept)], check=True)


if __name__ == '__main__':
    os.makedirs(os.path.join(HERE, 'audit'), exist_ok=True)
    make(os.path.join(HERE, 'audit'), 1, 10)
