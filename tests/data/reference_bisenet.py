"""BiSeNet (Yu et al. 2018) in PyTorch with the keys and shapes of the published face parser, written from those and from
the paper: what goldens and scripts/parity.py hold Furrow against. At any width, on a ResNet-18 or a ResNet-34.
"""
import torch
import torch.nn.functional as F
from torch import nn


class ConvBNReLU(nn.Module):
    def __init__(self, cin, out, kernel=3):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(cin, out, kernel, 1, kernel // 2, bias=False), nn.BatchNorm2d(out)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class BasicBlock(nn.Module):
    """He et al. 2015; names as in torchvision."""

    def __init__(self, cin, out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        if cin != out or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(cin, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        around = self.downsample(x) if hasattr(self, 'downsample') else x
        return torch.relu(around + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class ResNet(nn.Module):
    def __init__(self, b, cin, blocks):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, b, 7, 2, 3, bias=False), nn.BatchNorm2d(b)
        widths = [b, b, 2 * b, 4 * b, 8 * b]
        for i, count in enumerate(blocks, 1):
            stage = [BasicBlock(widths[i] if k else widths[i - 1], widths[i], 2 if i > 1 and k == 0 else 1)
                     for k in range(count)]
            setattr(self, f'layer{i}', nn.Sequential(*stage))

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        at8 = self.layer2(self.layer1(x))
        at16 = self.layer3(at8)
        return at8, at16, self.layer4(at16)


class AttentionRefinement(nn.Module):
    def __init__(self, cin, out):
        super().__init__()
        self.conv = ConvBNReLU(cin, out)
        self.conv_atten, self.bn_atten = nn.Conv2d(out, out, 1, bias=False), nn.BatchNorm2d(out)

    def forward(self, x):
        f = self.conv(x)
        return f * torch.sigmoid(self.bn_atten(self.conv_atten(f.mean((2, 3), keepdim=True))))


class ContextPath(nn.Module):
    def __init__(self, b, cin, blocks):
        super().__init__()
        self.resnet = ResNet(b, cin, blocks)
        self.arm16, self.arm32 = AttentionRefinement(4 * b, 2 * b), AttentionRefinement(8 * b, 2 * b)
        self.conv_head32, self.conv_head16 = ConvBNReLU(2 * b, 2 * b), ConvBNReLU(2 * b, 2 * b)
        self.conv_avg = ConvBNReLU(8 * b, 2 * b, 1)

    def forward(self, x):
        at8, at16, at32 = self.resnet(x)
        average = self.conv_avg(at32.mean((2, 3), keepdim=True))
        sum32 = self.arm32(at32) + F.interpolate(average, at32.shape[2:], mode='nearest')
        up32 = self.conv_head32(F.interpolate(sum32, at16.shape[2:], mode='nearest'))
        sum16 = self.arm16(at16) + up32
        return at8, self.conv_head16(F.interpolate(sum16, at8.shape[2:], mode='nearest')), up32


class FeatureFusion(nn.Module):
    def __init__(self, b):
        super().__init__()
        self.convblk = ConvBNReLU(4 * b, 4 * b, 1)
        self.conv1, self.conv2 = nn.Conv2d(4 * b, b, 1, bias=False), nn.Conv2d(b, 4 * b, 1, bias=False)

    def forward(self, encoder, context):
        f = self.convblk(torch.cat([encoder, context], 1))
        return f * torch.sigmoid(self.conv2(torch.relu(self.conv1(f.mean((2, 3), keepdim=True))))) + f


class Head(nn.Module):
    def __init__(self, cin, mid, classes):
        super().__init__()
        self.conv, self.conv_out = ConvBNReLU(cin, mid), nn.Conv2d(mid, classes, 1, bias=False)

    def forward(self, x, size):
        return F.interpolate(self.conv_out(self.conv(x)), size, mode='bilinear', align_corners=True)


class BiSeNet(nn.Module):
    def __init__(self, base, cin, classes, resnet34=False):
        super().__init__()
        self.cp = ContextPath(base, cin, [3, 4, 6, 3] if resnet34 else [2, 2, 2, 2])
        self.ffm = FeatureFusion(base)
        self.conv_out = Head(4 * base, 4 * base, classes)
        self.conv_out16, self.conv_out32 = Head(2 * base, base, classes), Head(2 * base, base, classes)

    def heads(self, x):
        """Logits of the main head and of the two that only training looks at."""
        size = x.shape[2:]
        encoder, context, coarse = self.cp(x)
        return (self.conv_out(self.ffm(encoder, context), size), self.conv_out16(context, size),
                self.conv_out32(coarse, size))

    def forward(self, x):
        return self.heads(x)[0]
