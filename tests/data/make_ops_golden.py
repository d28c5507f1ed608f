#!/usr/bin/python3
"""Writes tests/data/ops: every operation of the Backend page and its gradients as PyTorch computes them in float64.

  ops.txt   one line per array: name, n h w c, and the index of its first value in ops.f64
  ops.f64   the values, little-endian float64, NHWC (a convolution weight: OC, KH, KW, IC)

An array is called OP/CASE/ROLE. Roles: x x0 x1 w b gamma beta ... inputs, y output, dy the gradient that comes in,
d<input> the gradients that come out; `options` are the case's numbers, named in each function here. A role `b` that is
missing: no bias. Values outside training ranges (NaN, infinities, +-1000) are in the cases called `extremes`.

  usage: make_ops_golden.py     (from anywhere; rewrites the two files, the same bytes each time)
"""
import os

import numpy as np
import torch
import torch.nn.functional as F

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ops')
NAN, INF = float('nan'), float('inf')
arrays = {}


def nhwc(t):
    """NCHW -> NHWC, OIHW -> OHWI; a vector -> 1,1,1,C."""
    t = t.detach()
    t = t.reshape(1, -1, 1, 1) if t.dim() == 1 else t
    return t.permute(0, 2, 3, 1).contiguous().numpy()


def save(case, **roles):
    for role, value in roles.items():
        arrays[f'{case}/{role}'] = nhwc(value)


def options(case, *values):
    save(case, options=torch.tensor(values, dtype=torch.float64))


class Inputs:
    """Random leaves, each seeded by its case and role, so that adding a case changes no other."""

    def __init__(self, case):
        self.case = case

    def __call__(self, role, *shape, low=-1.0, high=1.0):
        seed = list(f'{self.case}/{role}'.encode())
        values = np.random.RandomState(seed).uniform(low, high, shape).astype(np.float32).astype(np.float64)
        return torch.tensor(values, requires_grad=True)


def conv(case, n, h, w, channels, oc, kernel, stride, pad, bias=True):
    """options: stride, pad"""
    case = 'conv2d/' + case
    make = Inputs(case)
    kh, kw = kernel
    xs = [make(f'x{i}', n, c, h, w) for i, c in enumerate(channels)]
    weight = make('w', oc, sum(channels), kh, kw)
    b = make('b', oc) if bias else None
    y = F.conv2d(torch.cat(xs, 1), weight, b, stride, pad)
    dy = make('dy', *y.shape)
    y.backward(dy)
    options(case, stride, pad)
    save(case, w=weight, y=y, dy=dy, dw=weight.grad)
    for i, x in enumerate(xs):
        save(case, **{f'x{i}': x, f'dx{i}': x.grad})
    if bias:
        save(case, b=b, db=b.grad)


def upconv(case, n, h, w, ic, oc, bias=True):
    case = 'upconv2x2/' + case
    make = Inputs(case)
    x, weight = make('x', n, ic, h, w), make('w', ic, oc, 2, 2)
    b = make('b', oc) if bias else None
    y = F.conv_transpose2d(x, weight, b, 2)
    dy = make('dy', *y.shape)
    y.backward(dy)
    save(case, x=x, w=weight.transpose(0, 1), y=y, dy=dy, dx=x.grad, dw=weight.grad.transpose(0, 1))
    if bias:
        save(case, b=b, db=b.grad)


def batch_norm(case, n, h, w, c, training, eps, momentum, offset=0.0):
    """options: training, eps, momentum"""
    case = 'batch_norm/' + case
    make = Inputs(case)
    x = make('x', n, c, h, w, low=offset - 1, high=offset + 1)
    gamma, beta = make('gamma', c), make('beta', c)
    mean, var = make('mean', c).detach(), make('var', c, low=0.2, high=2).detach()
    save(case, x=x, gamma=gamma, beta=beta, mean=mean.clone(), var=var.clone())
    y = F.batch_norm(x, mean, var, gamma, beta, training, momentum, eps)
    dy = make('dy', *y.shape)
    y.backward(dy)
    options(case, float(training), eps, momentum)
    save(case, y=y, dy=dy, dx=x.grad, dgamma=gamma.grad, dbeta=beta.grad, mean_after=mean, var_after=var)


def elementwise(op, function, case, x):
    case = f'{op}/{case}'
    y = function(x)
    dy = Inputs(case)('dy', *y.shape)
    y.backward(dy)
    save(case, x=x, y=y, dy=dy, dx=x.grad)


def row(*values):
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1).requires_grad_()


def max_pool(case, x):
    elementwise('max_pool2x2', lambda t: F.max_pool2d(t, 2), case, x)


def max_pool3(case, x):
    elementwise('max_pool3x3', lambda t: F.max_pool2d(t, 3, 2, 1), case, x)


def gate(case, n, h, w, c, low=-3.0, high=3.0):
    case = 'gate/' + case
    make = Inputs(case)
    x, z = make('x', n, c, h, w), make('z', n, 1, h, w, low=low, high=high)
    y = x * torch.sigmoid(z)
    dy = make('dy', *y.shape)
    y.backward(dy)
    save(case, x=x, z=z, y=y, dy=dy, dx=x.grad, dz=z.grad)


def channel_gate(case, n, h, w, c, low=-3.0, high=3.0):
    case = 'channel_gate/' + case
    make = Inputs(case)
    x, z = make('x', n, c, h, w), make('z', n, c, 1, 1, low=low, high=high)
    y = x * torch.sigmoid(z)
    dy = make('dy', *y.shape)
    y.backward(dy)
    save(case, x=x, z=z, y=y, dy=dy, dx=x.grad, dz=z.grad)


def global_mean(case, n, h, w, c):
    x = Inputs('global_mean/' + case)('x', n, c, h, w)
    elementwise('global_mean', lambda t: F.adaptive_avg_pool2d(t, 1), case, x)


def nearest(case, n, h, w, c, oh, ow):
    x = Inputs('upsample_nearest/' + case)('x', n, c, h, w)
    elementwise('upsample_nearest', lambda t: F.interpolate(t, (oh, ow), mode='nearest'), case, x)


def upsample(case, n, h, w, c, oh, ow):
    x = Inputs('upsample_bilinear/' + case)('x', n, c, h, w)
    elementwise('upsample_bilinear', lambda t: F.interpolate(t, (oh, ow), mode='bilinear', align_corners=True), case, x)


def pad(case, n, h, w, c, top, left, bottom, right):
    """options: top, left"""
    x = Inputs('pad/' + case)('x', n, c, h, w)
    elementwise('pad', lambda t: F.pad(t, (left, right, top, bottom)), case, x)
    options('pad/' + case, top, left)


def every_window():
    """All 4^4 windows of {0, 1, -inf, NaN} side by side: ties, and where the gradient goes."""
    values = [0.0, 1.0, -INF, NAN]
    windows = np.stack(np.meshgrid(*[values] * 4, indexing='ij'), -1).reshape(16, 16, 2, 2)
    plane = windows.transpose(0, 2, 1, 3).reshape(1, 1, 32, 32)
    return torch.tensor(plane, requires_grad=True)


def main():
    conv('k3', 2, 5, 7, [3], 5, (3, 3), 1, 1)
    conv('k3_two_sources', 2, 6, 5, [3, 2], 4, (3, 3), 1, 1)
    conv('k1_no_bias', 1, 4, 3, [5], 7, (1, 1), 1, 0, bias=False)
    conv('k1_stride2', 1, 5, 6, [4], 3, (1, 1), 2, 0)
    conv('k3_stride2_even', 1, 8, 6, [3], 2, (3, 3), 2, 1)
    conv('k3_stride2_odd', 2, 7, 5, [2], 3, (3, 3), 2, 1)
    conv('k7_stride2_pad3', 1, 11, 9, [3], 4, (7, 7), 2, 3)
    conv('k7_stride2_pad3_two_sources', 2, 8, 7, [2, 1], 3, (7, 7), 2, 3)
    conv('k3_pad0', 1, 4, 5, [2], 3, (3, 3), 1, 0)
    conv('k1x5', 1, 4, 6, [2], 3, (1, 5), 1, 2)
    conv('one_pixel', 1, 1, 1, [17], 3, (3, 3), 1, 1)
    upconv('ragged', 2, 3, 4, 5, 3)
    upconv('one_pixel', 1, 1, 1, 17, 2)
    upconv('no_bias', 1, 2, 3, 1, 4, bias=False)
    batch_norm('given', 2, 3, 4, 5, False, 1e-5, 0.1)
    batch_norm('batch', 2, 3, 5, 5, True, 1e-5, 0.1)
    batch_norm('batch_two_values', 2, 1, 1, 3, True, 1e-3, 0.25)
    batch_norm('batch_far_from_zero', 1, 4, 4, 2, True, 1e-5, 0.1, offset=1000.0)
    elementwise('relu', torch.relu, 'random', Inputs('relu/random')('x', 2, 3, 4, 5))
    elementwise('relu', torch.relu, 'extremes', row(0.0, -0.0, 1e-300, -1e-300, INF, -INF, NAN))
    elementwise('sigmoid', torch.sigmoid, 'random', Inputs('sigmoid/random')('x', 2, 3, 4, 5, low=-8, high=8))
    elementwise('sigmoid', torch.sigmoid, 'extremes', row(0.0, 40.0, -40.0, 1000.0, -1000.0, INF, -INF, NAN))
    max_pool('random_odd', Inputs('max_pool2x2/random_odd')('x', 2, 3, 5, 7))
    max_pool('extremes', every_window())
    upsample('double', 2, 5, 3, 3, 10, 6)
    upsample('from_one_pixel', 1, 1, 1, 2, 2, 3)
    upsample('from_one_row', 1, 1, 4, 2, 2, 8)
    upsample('to_one_pixel', 1, 4, 3, 2, 1, 1)
    upsample('to_one_column', 1, 4, 3, 2, 7, 1)
    upsample('up_and_down', 1, 3, 8, 2, 7, 5)
    upsample('same', 1, 4, 5, 1, 4, 5)
    pad('by_one', 2, 3, 4, 2, 0, 1, 1, 0)
    pad('around', 1, 3, 4, 3, 2, 1, 1, 3)
    pad('crop', 1, 5, 6, 2, -1, -2, -1, 0)
    pad('pad_and_crop', 1, 5, 6, 2, 2, -2, -1, 3)
    gate('ragged', 2, 3, 5, 7)
    gate('one_channel', 1, 4, 3, 1)
    gate('far_from_zero', 1, 2, 3, 3, low=-900, high=900)
    max_pool3('random_odd', Inputs('max_pool3x3/random_odd')('x', 2, 3, 5, 7))
    max_pool3('random_even', Inputs('max_pool3x3/random_even')('x', 1, 2, 6, 4))
    max_pool3('one_row', Inputs('max_pool3x3/one_row')('x', 1, 2, 1, 4))
    max_pool3('negative', Inputs('max_pool3x3/negative')('x', 1, 2, 4, 5, low=-2, high=-1))
    max_pool3('extremes', every_window())
    channel_gate('ragged', 3, 5, 3, 19)
    channel_gate('one_pixel', 1, 1, 1, 3)
    channel_gate('one_channel', 2, 4, 3, 1)
    channel_gate('far_from_zero', 1, 3, 2, 24, low=-900, high=900)
    global_mean('ragged', 3, 5, 7, 19)
    global_mean('one_pixel', 2, 1, 1, 3)
    global_mean('one_channel', 1, 4, 9, 1)
    nearest('double', 2, 3, 5, 3, 6, 10)
    nearest('one_less_than_double', 3, 5, 7, 2, 9, 13)
    nearest('from_one_pixel', 1, 1, 1, 24, 3, 4)
    nearest('eightfold', 1, 2, 3, 1, 16, 24)
    nearest('to_one_pixel', 1, 4, 3, 2, 1, 1)
    nearest('down', 1, 8, 6, 3, 4, 2)

    os.makedirs(OUT, exist_ok=True)
    first = 0
    with open(os.path.join(OUT, 'ops.txt'), 'w') as index, open(os.path.join(OUT, 'ops.f64'), 'wb') as values:
        for name, array in arrays.items():
            index.write(name + ' ' + ' '.join(map(str, array.shape)) + f' {first}\n')
            values.write(np.ascontiguousarray(array, '<f8').tobytes())
            first += array.size
    print(f'{len(arrays)} arrays, {8 * first} bytes')


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
