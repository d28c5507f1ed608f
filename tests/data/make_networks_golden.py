#!/usr/bin/python3
"""Writes what the tests of the attention and ResNet50 U-Nets and of the face parser compare with: PyTorch in float64
(reference_networks.py).

  weights/attention_unet_keys.txt, weights/resnet50_unet_keys.txt, weights/resnet50_attention_unet_keys.txt
                                            keys and shapes at base width 64, 3 -> 1, transposed
  weights/bisenet_keys.txt, weights/bisenet_resnet34_keys.txt
                                            of the face parsers at base width 64, 3 -> 19
  tests/data/networks/NAME.logits.f64       logits at inference of a 37 x 45 cut of tests/data/unet/transposed.input.u8
  tests/data/networks/NAME.gradients.txt    one training step, as make_unet_golden.py has it; of a face parser its three
                                            heads' logits are added up
  tests/data/networks/NAME.heads.txt        of a face parser: sums of each head's logits at inference, of the cut and of
                                            a 96 x 64 one

Weights are a formula (reference_networks.fill), so no file holds them.

  usage: make_networks_golden.py    from anywhere
"""
import os

import numpy as np
import torch

from make_unet_golden import HERE, ROOT, sums
from reference_networks import fill, network

KEYS = {'attention_unet': 'attention-unet base 64, 3 -> 1, transposed',
        'resnet50_unet': 'resnet50-unet base 64, 3 -> 1, transposed',
        'resnet50_attention_unet': 'resnet50-attention-unet base 64, 3 -> 1, transposed',
        'bisenet': 'bisenet base 64, 3 -> 19', 'bisenet_resnet34': 'bisenet-resnet34 base 64, 3 -> 19'}
GOLDENS = {'attention': 'attention-unet base 4, 3 -> 1, transposed',
           'attention_bilinear': 'attention-unet base 4, 4 -> 2, bilinear',
           'labhai': 'unet base 4, 4 -> 2, bilinear',
           'resnet50': 'resnet50-unet base 4, 3 -> 1, transposed',
           'resnet50_bilinear': 'resnet50-unet base 4, 3 -> 2, bilinear',
           'resnet50_attention': 'resnet50-attention-unet base 4, 3 -> 1, transposed',
           'resnet50_attention_bilinear': 'resnet50-attention-unet base 4, 4 -> 2, bilinear',
           'bisenet': 'bisenet base 4, 3 -> 5', 'bisenet_resnet34': 'bisenet-resnet34 base 4, 4 -> 3'}


def write_keys(name, architecture):
    with open(os.path.join(ROOT, 'weights', name + '_keys.txt'), 'w') as f:
        for key, value in network(architecture).state_dict().items():
            f.write(key + ' ' + ('x'.join(map(str, value.shape)) or 'scalar') + '\n')


def picture(channels, rows=slice(20, 65), columns=slice(30, 67)):
    """1, C, 45, 37 in 0..1; a fourth channel is the mean of the three."""
    path = os.path.join(HERE, 'unet', 'transposed.input.u8')
    rgb = np.fromfile(path, np.uint8).reshape(77, 101, 3)[rows, columns].astype(np.float64) / 255
    if channels == 4:
        rgb = np.concatenate([rgb, rgb.mean(2, keepdims=True)], 2)
    return torch.from_numpy(rgb).permute(2, 0, 1)[None]


def write_golden(name, architecture):
    net = fill(network(architecture)).double().eval()
    channels = 4 if '4 ->' in architecture else 3
    x = picture(channels)
    base = os.path.join(HERE, 'networks', name)
    with torch.no_grad():
        net(x)[0].permute(1, 2, 0).contiguous().numpy().tofile(base + '.logits.f64')
        if hasattr(net, 'heads'):
            with open(base + '.heads.txt', 'w') as f:
                for size, cut in (('45x37', x), ('64x96', picture(channels, slice(5, 69), slice(2, 98)))):
                    for head, logits in zip(('main', '16', '32'), net.heads(cut)):
                        f.write(sums(f'{size}.{head}', logits.permute(0, 2, 3, 1).contiguous()))
    # One training step on two crops (33 wide, 35 high), with d(loss)/d(logits) = cos(1..n) in N, H, W, C order.
    net.train()
    crops = torch.cat([x[:, :, 0:35, 0:33], x[:, :, 10:45, 4:37]]).requires_grad_(True)
    y = sum(net.heads(crops)) if hasattr(net, 'heads') else net(crops)
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
    for name, architecture in KEYS.items():
        write_keys(name, architecture)
    for name, architecture in GOLDENS.items():
        write_golden(name, architecture)


if __name__ == '__main__':
    main()
