#!/usr/bin/python3
"""Writes what the U-Net tests compare with, from an implementation of its own in PyTorch (float64).

  weights/unet_keys.txt, weights/unet_keys_bilinear.txt   keys and shapes at base width 64, 3 -> 1
  tests/data/unet/NAME.input.u8         picture, row-major RGB
  tests/data/unet/NAME.logits.f64       logits at inference, row-major H, W, classes
  tests/data/unet/NAME.gradients.txt    one training step: logits' checksum, then of every parameter's gradient and every
                                        buffer after the step: key, sum, sum of squares, dot with cos(1..n)

  usage: make_unet_golden.py [--npz DIR]    from the root of the repository

The weights are the committed SYNTHETIC_*.pth (random numbers in the layout of the public wrinkle checkpoints). With --npz,
a folder with the golden_SYNTHETIC_*.npz that came with them, the inputs are taken from there and the logits compared;
without it the committed inputs are used.
"""
import argparse
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class DoubleConv(nn.Module):
    def __init__(self, cin, cout, mid=None):
        super().__init__()
        mid = mid or cout
        self.double_conv = nn.Sequential(
            nn.Conv2d(cin, mid, 3, padding=1, bias=False), nn.BatchNorm2d(mid), nn.ReLU(),
            nn.Conv2d(mid, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU())

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(cin, cout))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, cin, cout, bilinear):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)
            self.conv = DoubleConv(cin, cout, cin // 2)
        else:
            self.up = nn.ConvTranspose2d(cin, cin // 2, 2, 2)
            self.conv = DoubleConv(cin, cout)

    def forward(self, deep, skip):
        up = self.up(deep)
        dy, dx = skip.shape[2] - up.shape[2], skip.shape[3] - up.shape[3]
        up = F.pad(up, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([skip, up], 1))


class OutConv(nn.Module):
    def __init__(self, cin, classes):
        super().__init__()
        self.conv = nn.Conv2d(cin, classes, 1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    def __init__(self, base, cin, classes, bilinear):
        super().__init__()
        half = 2 if bilinear else 1
        self.inc = DoubleConv(cin, base)
        self.down1 = Down(base, 2 * base)
        self.down2 = Down(2 * base, 4 * base)
        self.down3 = Down(4 * base, 8 * base)
        self.down4 = Down(8 * base, 16 * base // half)
        self.up1 = Up(16 * base, 8 * base // half, bilinear)
        self.up2 = Up(8 * base, 4 * base // half, bilinear)
        self.up3 = Up(4 * base, 2 * base // half, bilinear)
        self.up4 = Up(2 * base, base, bilinear)
        self.outc = OutConv(base, classes)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        x5 = self.down4(x4)
        return self.outc(self.up4(self.up3(self.up2(self.up1(x5, x4), x3), x2), x1))


def write_keys(path, bilinear):
    with open(path, 'w') as f:
        for key, value in UNet(64, 3, 1, bilinear).state_dict().items():
            f.write(key + ' ' + ('x'.join(map(str, value.shape)) or 'scalar') + '\n')


def sums(key, t):
    v = t.detach().double().flatten()
    dot = (v * torch.cos(torch.arange(1, v.numel() + 1, dtype=torch.float64))).sum()
    return f'{key} {v.sum().item():.17g} {(v * v).sum().item():.17g} {dot.item():.17g}\n'


def write_golden(name, weights, npz, cin, classes, bilinear):
    state = torch.load(os.path.join(HERE, 'unet', weights + '_zip.pth'))
    state.pop('mask_values')
    net = UNet(8, cin, classes, bilinear)
    net.load_state_dict(state)
    net.double().eval()
    base = os.path.join(HERE, 'unet', name)
    if npz:
        golden = np.load(os.path.join(npz, 'golden_' + weights + '.npz'))
        golden['input_u8_hwc'].tofile(base + '.input.u8')
    picture = np.fromfile(base + '.input.u8', np.uint8).reshape(77, 101, 3).astype(np.float64) / 255
    if cin == 4:
        picture = np.concatenate([picture, picture.mean(2, keepdims=True)], 2)
    x = torch.from_numpy(picture).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = net(x)[0].permute(1, 2, 0).contiguous().numpy()
    if npz:
        error = np.abs(logits.transpose(2, 0, 1) - golden['logits']).max()
        print(name, 'largest difference from the float32 logits', error)
        assert error < 1e-5
    logits.tofile(base + '.logits.f64')

    # One training step on two crops (33 wide, 47 high), with d(loss)/d(logits) = cos(1..n) in N, H, W, C order.
    net.train()
    crops = torch.cat([x[:, :, 10:57, 20:53], x[:, :, 20:67, 60:93]]).requires_grad_(True)
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
    parser = argparse.ArgumentParser()
    parser.add_argument('--npz')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    write_keys(os.path.join(ROOT, 'weights', 'unet_keys.txt'), False)
    write_keys(os.path.join(ROOT, 'weights', 'unet_keys_bilinear.txt'), True)
    write_golden('bilinear', 'SYNTHETIC_unet_milesial_layout_base8_bilinear_in3_out1', args.npz, 3, 1, True)
    write_golden('transposed', 'SYNTHETIC_unet_milesial_layout_base8_transpose_in4_out2', args.npz, 4, 2, False)


if __name__ == '__main__':
    main()
