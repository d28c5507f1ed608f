"""The wrinkle networks in PyTorch, written from their published keys and shapes: what goldens and scripts/parity.py hold
Furrow against. Every network here runs in any dtype; `network(architecture)` builds one from Furrow's own description.
"""
import re

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from make_unet_golden import DoubleConv, Down, OutConv
from reference_bisenet import BiSeNet


class Gate(nn.Module):
    """x * sigmoid(psi(relu(W_g(g) + W_x(x)))), g resized to x: bilinear, align_corners."""

    def __init__(self, g, x, inner):
        super().__init__()
        self.W_g = nn.Sequential(nn.Conv2d(g, inner, 1), nn.BatchNorm2d(inner))
        self.W_x = nn.Sequential(nn.Conv2d(x, inner, 1), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, g, x):
        g = F.interpolate(g, x.shape[2:], mode='bilinear', align_corners=True)
        return x * self.psi(torch.relu(self.W_g(g) + self.W_x(x)))


class Rise(nn.Module):
    """Doubles `deep`, brings it to the skip's size, convolves both. skip 0: there is none."""

    def __init__(self, deep, skip, mid, out, bilinear):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)
        else:
            self.up = nn.ConvTranspose2d(deep, deep // 2, 2, 2)
        self.conv = DoubleConv((deep if bilinear else deep // 2) + skip, out, mid)

    def forward(self, deep, skip=None):
        up = self.up(deep)
        if skip is None:
            return self.conv(up)
        dy, dx = skip.shape[2] - up.shape[2], skip.shape[3] - up.shape[3]
        up = F.pad(up, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([skip, up], 1))


class ClassicUNet(nn.Module):
    def __init__(self, base, cin, classes, bilinear, attention):
        super().__init__()
        b = base
        self.inc = DoubleConv(cin, b)
        self.down1, self.down2, self.down3 = Down(b, 2 * b), Down(2 * b, 4 * b), Down(4 * b, 8 * b)
        self.down4 = Down(8 * b, 8 * b if bilinear else 16 * b)
        self.attention = attention
        if attention:
            for i, x in enumerate([8 * b, 4 * b, 2 * b, b], 1):
                setattr(self, f'attention{i}', Gate(x if bilinear else 2 * x, x, x // 2))
        for i, x in enumerate([8 * b, 4 * b, 2 * b, b], 1):
            deep, out = (x, max(x // 2, b)) if bilinear else (2 * x, x)
            setattr(self, f'up{i}', Rise(deep, x, x if bilinear else out, out, bilinear))
        self.outc = OutConv(b, classes)

    def forward(self, x):
        skips = [self.inc(x)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            skips.append(down(skips[-1]))
        y = skips.pop()
        for i in range(1, 5):
            skip = skips.pop()
            if self.attention:
                skip = getattr(self, f'attention{i}')(y, skip)
            y = getattr(self, f'up{i}')(y, skip)
        return self.outc(y)


class Bottleneck(nn.Module):
    """He et al. 2015, with the stride on the 3x3; names as in torchvision."""

    def __init__(self, cin, width, stride, first):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        if first:
            self.downsample = nn.Sequential(nn.Conv2d(cin, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))

    def forward(self, x):
        around = self.downsample(x) if hasattr(self, 'downsample') else x
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(around + self.bn3(self.conv3(y)))


def stage(cin, width, blocks, stride):
    return nn.Sequential(*[Bottleneck(4 * width if i else cin, width, 1 if i else stride, i == 0)
                           for i in range(blocks)])


class ResNetUNet(nn.Module):
    def __init__(self, base, cin, classes, bilinear, attention):
        super().__init__()
        b = base
        self.input_layer = nn.Sequential(nn.Conv2d(cin, b, 7, 2, 3, bias=False), nn.BatchNorm2d(b), nn.ReLU())
        self.encoder1, self.encoder2 = stage(b, b, 3, 1), stage(4 * b, 2 * b, 4, 2)
        self.encoder3, self.encoder4 = stage(8 * b, 4 * b, 6, 2), stage(16 * b, 8 * b, 3, 2)
        self.attention = attention
        if attention:
            self.att1, self.att2 = Gate(32 * b, 16 * b, 8 * b), Gate(16 * b, 8 * b, 4 * b)
            self.att3, self.att4 = Gate(8 * b, 4 * b, 2 * b), Gate(4 * b, b, b // 2)
        rises = [(32 * b, 16 * b, 16 * b), (16 * b, 8 * b, 8 * b), (8 * b, 4 * b, 4 * b), (4 * b, b, 2 * b),
                 (2 * b, 0, b)]
        for i, (deep, skip, out) in enumerate(rises, 1):
            setattr(self, f'up{i}', Rise(deep, skip, out, out, bilinear))
        self.outc = OutConv(b, classes)

    def forward(self, x):
        x0 = self.input_layer(x)
        x1 = self.encoder1(F.max_pool2d(x0, 3, 2, 1))
        x2 = self.encoder2(x1)
        x3 = self.encoder3(x2)
        x4 = self.encoder4(x3)
        if self.attention:
            x3, x2, x1, x0 = self.att1(x4, x3), self.att2(x3, x2), self.att3(x2, x1), self.att4(x1, x0)
        y = self.up4(self.up3(self.up2(self.up1(x4, x3), x2), x1), x0)
        # Of an odd picture, up5 makes a row or column more than there is.
        return self.outc(self.up5(y))[:, :, :x.shape[2], :x.shape[3]]


def network(architecture):
    """"resnet50-unet base 64, 3 -> 1, transposed", "bisenet base 64, 3 -> 19" -> the network, without weights of its own."""
    if parser := re.fullmatch(r'bisenet(-resnet34)? base (\d+), (\d+) -> (\d+)', architecture):
        resnet34, base, cin, classes = parser.groups()
        return BiSeNet(int(base), int(cin), int(classes), bool(resnet34))
    match = re.fullmatch(r'(resnet50-)?(attention-)?unet base (\d+), (\d+) -> (\d+), (transposed|bilinear)', architecture)
    resnet, attention, base, cin, classes, up = match.groups()
    kind = ResNetUNet if resnet else ClassicUNet
    return kind(int(base), int(cin), int(classes), up == 'bilinear', bool(attention))


def fill(net, seed=0):
    """Weights that a program in another language can compute: u(k, i) = 53 bits of splitmix64's output function of
    (k << 32) + i + seed, over 2^53, for element i (PyTorch's order) of the k-th entry of the state_dict. Convolutions
    are (2u-1) * sqrt(6 / (dims[1]*kh*kw)); scales and variances 0.5 + u; other vectors 0.4 * (2u-1); all rounded to
    float32. Counters stay 0."""
    state = net.state_dict()
    for k, (key, value) in enumerate(state.items()):
        if value.dim() == 0:
            continue
        z = (np.uint64(k) << np.uint64(32)) + np.arange(value.numel(), dtype=np.uint64) + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        u = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0 ** -53
        if value.dim() == 4:
            u = (2 * u - 1) * np.sqrt(6 / (value.shape[1] * value.shape[2] * value.shape[3]))
        elif key.endswith('running_var') or (key.endswith('.weight')):
            u = 0.5 + u
        else:
            u = 0.4 * (2 * u - 1)
        value.copy_(torch.from_numpy(u.astype(np.float32).reshape(value.shape)))
    net.load_state_dict(state)
    return net
