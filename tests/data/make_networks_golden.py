#!/usr/bin/python3
"""Writes what the tests of the attention and ResNet50 U-Nets compare with: PyTorch in float64 (reference_networks.py).

  weights/attention_unet_keys.txt, weights/resnet50_unet_keys.txt, weights/resnet50_attention_unet_keys.txt
                                            keys and shapes at base width 64, 3 -> 1, transposed
  tests/data/networks/NAME.logits.f64       logits at inference of a 37 x 45 cut of tests/data/unet/transposed.input.u8
  tests/data/networks/NAME.gradients.txt    one training step, as make_unet_golden.py has it

Weights are a formula (reference_networks.fill), so no file holds them.

  usage: make_networks_golden.py    from anywhere
"""
import os

import numpy as np
import torch

from make_unet_golden import HERE, ROOT, sums
from reference_networks import fill, network

KEYS = {'attention_unet': 'attention-unet', 'resnet50_unet': 'resnet50-unet',
        'resnet50_attention_unet': 'resnet50-attention-unet'}
GOLDENS = {'attention': 'attention-unet base 4, 3 -> 1, transposed',
           'attention_bilinear': 'attention-unet base 4, 4 -> 2, bilinear',
           'labhai': 'unet base 4, 4 -> 2, bilinear',
           'resnet50': 'resnet50-unet base 4, 3 -> 1, transposed',
           'resnet50_bilinear': 'resnet50-unet base 4, 3 -> 2, bilinear',
           'resnet50_attention': 'resnet50-attention-unet base 4, 3 -> 1, transposed',
           'resnet50_attention_bilinear': 'resnet50-attention-unet base 4, 4 -> 2, bilinear'}


def write_keys(name, family):
    with open(os.path.join(ROOT, 'weights', name + '_keys.txt'), 'w') as f:
        for key, value in network(family + ' base 64, 3 -> 1, transposed').state_dict().items():
            f.write(key + ' ' + ('x'.join(map(str, value.shape)) or 'scalar') + '\n')


def picture(channels):
    """1, C, 45, 37 in 0..1; a fourth channel is the mean of the three."""
    path = os.path.join(HERE, 'unet', 'transposed.input.u8')
    rgb = np.fromfile(path, np.uint8).reshape(77, 101, 3)[20:65, 30:67].astype(np.float64) / 255
    if channels == 4:
        rgb = np.concatenate([rgb, rgb.mean(2, keepdims=True)], 2)
    return torch.from_numpy(rgb).permute(2, 0, 1)[None]


def write_golden(name, architecture):
    net = fill(network(architecture)).double().eval()
    x = picture(4 if '4 ->' in architecture else 3)
    base = os.path.join(HERE, 'networks', name)
    with torch.no_grad():
        net(x)[0].permute(1, 2, 0).contiguous().numpy().tofile(base + '.logits.f64')
    # One training step on two crops (33 wide, 35 high), with d(loss)/d(logits) = cos(1..n) in N, H, W, C order.
    net.train()
    crops = torch.cat([x[:, :, 0:35, 0:33], x[:, :, 10:45, 4:37]]).requires_grad_(True)
    y = net(crops)
    order = y.permute(0, 2, 3, 1).contiguous()
    (order.flatten() * torch.cos(torch.arange(1, y.numel() + 1, dtype=torch.float64))).sum().backward()
    with open(base + '.gradients.txt', 'w') as f:
        f.write(sums('logits', order))
        f.write(sums('input', crops.grad.permute(0, 2, 3, 1).contiguous()))
        for key, p in net.named_parameters():
            f.write(sums(key, p.grad))
        for key, b in net.named_buffers():
            f.write(sums(key, b))


def main():
    torch.set_num_threads(1)
    os.makedirs(os.path.join(HERE, 'networks'), exist_ok=True)
    for name, family in KEYS.items():
        write_keys(name, family)
    for name, architecture in GOLDENS.items():
        write_golden(name, architecture)


if __name__ == '__main__':
    main()
