"""The classic U-Net (Ronneberger, Fischer and Brox 2015) as nn/unet.h describes it, in PyTorch: 3x3 convolutions without bias,
each with batch norm and ReLU; four levels down by 2x2 maximum, four up by transposed convolution; a 1x1 convolution at the end.
Sides are multiples of 16, so that nothing needs padding."""
import torch
from torch import nn


def two_convolutions(inputs, outputs):
    layers = []
    for ic in (inputs, outputs):
        layers += [nn.Conv2d(ic, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, base, inputs=3, classes=1):
        super().__init__()
        widths = [base << level for level in range(5)]
        self.down = nn.ModuleList(two_convolutions(ic, oc) for ic, oc in zip([inputs] + widths, widths))
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:4]))
        self.join = nn.ModuleList(two_convolutions(2 * w, w) for w in reversed(widths[:4]))
        self.last = nn.Conv2d(base, classes, 1)

    def forward(self, x):
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else self.pool(x))
            skips.append(x)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1]):
            x = join(torch.cat([skip, up(x)], 1))
        return self.last(x)
