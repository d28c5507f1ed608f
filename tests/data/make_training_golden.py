#!/usr/bin/python3
"""Writes tests/data/training: training steps of small U-Nets as PyTorch computes them in float64, how far PyTorch's own
float32 is from that, and the learning rates of its ReduceLROnPlateau.

  training.txt   one line per array: name, n h w c, and the index of its first value in training.f64
  training.f64   the values, little-endian float64

Nothing random is stored: initial parameters, pictures, targets and dropout masks are drawn by Philox4x32-10 (Salmon et al.
2011), written out below with NumPy, in the order that Furrow draws them. A tensor of a network is kept as

  CASE/WHEN/KEY   sum, sum of squares, dot with cos(1..n), largest magnitude, then up to 32 elements spread over the tensor

in PyTorch's order of elements; WHEN: `gradient` (before clipping), `step1` and `step20` (parameters and running
statistics). CASE/loss: total, dice and focal of the 20 steps, and the gradients' norms. CASE/float32: per parameter, the
largest distance of a float32 gradient from the float64 one, over its elements and the ways in which PyTorch was run
(memory formats, threads, with and without oneDNN), and the root of the mean of the distance's square.

  curve/runs: the losses of 200 steps of float32 runs that differ in the same ways, the five of Ways.ALL first, then others
  with more threads; curve/float64: of the float64 run.
  plateau/CASE: options, metrics, and the rate after each.

  usage: make_training_golden.py     (from anywhere)
"""
import os

os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'  # before OpenMP starts: two threads on a busy machine else wait in circles

import numpy as np
import torch

from make_losses_golden import dice_focal
from make_unet_golden import UNet

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'training')
arrays = {}


def uniform(key, stream, count, first=0):
    """Numbers first .. first+count-1 of sequence `stream`: counter {index/4, stream}, word index%4, 24 high bits."""
    index = np.arange(first, first + count, dtype=np.uint64)
    low, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    block = index // np.uint64(4)
    c = [block & mask, block >> low, np.full_like(block, stream & 0xFFFFFFFF), np.full_like(block, stream >> 32)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> low) ^ c[1] ^ np.uint64(k0), p1 & mask, (p0 >> low) ^ c[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    words = np.choose((index % np.uint64(4)).astype(np.int64), c)
    return (words >> np.uint64(8)).astype(np.float64) * 2.**-24


class Dropout(torch.nn.Module):
    """Keeps an element where its number is at least p. Elements are counted in N, H, W, C order."""
    count = 0       # dropouts of this forward pass so far
    step = seed = 0

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        n, c, h, w = x.shape
        u = uniform(Dropout.seed, Dropout.step * 65536 + Dropout.count, x.numel()).reshape(n, h, w, c)
        Dropout.count += 1
        keep = torch.from_numpy(np.ascontiguousarray((u >= self.p).transpose(0, 3, 1, 2))).to(x.dtype)
        return x * keep / (1 - self.p)


def build(base, cin, bilinear, dropout, seed):
    """A U-Net with Furrow's initial values: parameter number i of the state dictionary is drawn from sequence i, in the
    order in which it lies in memory ({oc, kh, kw, ic}), uniform within PyTorch's own bounds."""
    net = UNet(base, cin, 1, bilinear).double()
    modules = dict(net.named_modules())
    for i, (key, value) in enumerate(net.state_dict().items()):
        owner, name = modules[key.rpartition('.')[0]], key.rpartition('.')[2]
        if isinstance(owner, torch.nn.BatchNorm2d):
            continue
        fan_in = torch.nn.init._calculate_fan_in_and_fan_out(owner.weight)[0]
        bound = 1 / np.sqrt(fan_in)
        with torch.no_grad():   # what PyTorch itself draws stays within the bound, and comes near it
            assert value.abs().max() <= bound and (value.numel() < 50 or value.abs().max() > .8 * bound)
        drawn = bound * (2 * uniform(seed, i, value.numel()) - 1)
        if value.dim() == 1:
            drawn = torch.from_numpy(drawn)
        elif isinstance(owner, torch.nn.ConvTranspose2d):
            ic, oc, kh, kw = value.shape
            drawn = torch.from_numpy(drawn.reshape(oc, kh, kw, ic)).permute(3, 0, 1, 2)
        else:
            oc, ic, kh, kw = value.shape
            drawn = torch.from_numpy(drawn.reshape(oc, kh, kw, ic)).permute(0, 3, 1, 2)
        value.copy_(drawn)
    if dropout:
        for module in net.modules():
            if hasattr(module, 'double_conv'):
                module.double_conv.append(Dropout(dropout))
    return net


def picture(n, h, w, c, seed):
    return torch.from_numpy(uniform(seed, 0, n * h * w * c).reshape(n, h, w, c)).permute(0, 3, 1, 2).contiguous()


def targets(n, h, w, seed, share):
    return torch.from_numpy((uniform(seed, 1, n * h * w) < share).astype(np.float64).reshape(n, h, w))


def summary(t):
    v = t.detach().double().flatten().numpy()
    sample = v[np.arange(min(32, v.size)) * v.size // min(32, v.size)]
    return np.concatenate([[v.sum(), (v * v).sum(), v @ np.cos(np.arange(1, v.size + 1)), np.abs(v).max()], sample])


def save(name, value):
    array = np.asarray(value, np.float64)
    arrays[name] = array.reshape((1,) * (4 - array.ndim) + array.shape)


def save_state(case, when, net):
    for key, value in net.state_dict().items():
        save(f'{case}/{when}/{key}', summary(value))


class Ways:
    """How PyTorch may compute the same thing in float32."""
    ALL = [(torch.contiguous_format, 1, True), (torch.channels_last, 1, True), (torch.contiguous_format, 2, True),
           (torch.contiguous_format, 1, False), (torch.channels_last, 1, False)]
    # Contiguous without oneDNN is left out here: its sums do not depend on the number of threads.
    MORE = [(torch.channels_last, 2, True), (torch.channels_last, 2, False), (torch.contiguous_format, 3, True),
            (torch.channels_last, 3, True), (torch.channels_last, 3, False), (torch.contiguous_format, 4, True)]

    def __init__(self, way):
        self.format, self.threads, self.mkldnn = way

    def __enter__(self):
        torch.set_num_threads(self.threads)
        torch.backends.mkldnn.enabled = self.mkldnn
        return self.format

    def __exit__(self, *_):
        torch.set_num_threads(1)
        torch.backends.mkldnn.enabled = True


def gradients(net, x, t, form):
    net.zero_grad()
    Dropout.count = 0
    loss = dice_focal(net(x)[:, 0], t, **form)
    loss[0].backward()
    return loss


def add_steps(case, bilinear, dropout, form, seed, lr, weight_decay, clip, share=.1):
    n, h, w = 2, 37, 45
    x, t = picture(n, h, w, 3, seed + 1), targets(n, h, w, seed + 1, share)
    net = build(2, 3, bilinear, dropout, seed)
    Dropout.seed, Dropout.step = seed + 2, 0

    single = []
    for way in Ways.ALL:
        with Ways(way) as memory_format:
            narrow = build(2, 3, bilinear, dropout, seed).float().to(memory_format=memory_format)
            gradients(narrow, x.float().contiguous(memory_format=memory_format), t.float(), form)
            single.append([p.grad.double() for p in narrow.parameters()])

    optimiser = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=weight_decay)
    values, norms = [], []
    for step in range(20):
        Dropout.step = step
        values.append([v.item() for v in gradients(net, x, t, form)])
        if step == 0:
            rows = []
            for i, (key, p) in enumerate(net.named_parameters()):
                save(f'{case}/gradient/{key}', summary(p.grad))
                rows.append([max((g[i] - p.grad).abs().max().item() for g in single),
                             max((g[i] - p.grad).square().mean().sqrt().item() for g in single)])
            save(f'{case}/float32', rows)
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), clip).item())
        optimiser.step()
        if step in (0, 19):
            save_state(case, f'step{step + 1}', net)
    save(f'{case}/loss', values)
    save(f'{case}/norm', norms)
    print(case, 'loss', values[0][0], '->', values[-1][0], 'norms', norms[0], norms[-1], flush=True)


def add_curve(steps=200):
    """Strokes to be found in noise: 8 pictures of 32 x 32, two at a time, in turn; a pixel of the first channel that lies
    above 0.7 of a smoothed noise is a stroke."""
    x = picture(8, 32, 32, 3, 71)
    smooth = torch.nn.functional.avg_pool2d(x[:, :1], 3, 1, 1, count_include_pad=False)
    t = (smooth[:, 0] > .58).double()

    def run(way, dtype):
        with Ways(way) as memory_format:
            net = build(2, 3, False, 0, 72).to(dtype).to(memory_format=memory_format)
            optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-5)
            losses = []
            for step in range(steps):
                pair = slice(step % 4 * 2, step % 4 * 2 + 2)
                losses.append(gradients(net, x[pair].to(dtype).contiguous(memory_format=memory_format), t[pair].to(dtype),
                                        dict(clamp=True))[0].item())
                torch.nn.utils.clip_grad_norm_(net.parameters(), .1)
                optimiser.step()
        print(way, dtype, losses[-1], flush=True)
        return losses
    runs = np.array([run(way, torch.float32) for way in Ways.ALL + Ways.MORE])
    save('curve/runs', runs)
    save('curve/float64', run(Ways.ALL[0], torch.float64))
    save('curve/share', [t.mean().item()])
    print('curve', runs[:, 0], '->', runs[:, -1], 'widest', (runs.max(0) - runs.min(0)).max(), flush=True)


def add_plateau(name, metrics, lr=1e-3, **options):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, **options)
    rates = []
    for metric in metrics:
        schedule.step(metric)
        rates.append(optimiser.param_groups[0]['lr'])
    save(f'plateau/{name}/options', [options['mode'] == 'max', options['factor'], options['patience'], options['threshold'],
                                     options['min_lr'], lr])
    save(f'plateau/{name}/metrics', metrics)
    save(f'plateau/{name}/rates', rates)


def main():
    torch.set_num_threads(1)
    L1 = dict(dice_weight=.7, focal_weight=.3, alpha_positive=.25, alpha_negative=.25, gamma=2.)
    add_steps('L6_transposed', False, 0, dict(clamp=True), 11, lr=1e-3, weight_decay=1e-2, clip=.05)
    add_steps('L1_bilinear', True, 0, L1, 21, lr=3e-3, weight_decay=5e-2, clip=.06)
    add_steps('L6_dropout', False, .2, dict(clamp=True), 31, lr=1e-3, weight_decay=1e-5, clip=.1)
    add_curve()

    noise = uniform(91, 0, 120)
    falling = list(np.exp(-np.arange(120) / 20) + .02 * noise)
    add_plateau('min', falling, mode='min', factor=.75, patience=10, threshold=1e-4, min_lr=1e-6)
    add_plateau('max', [-v for v in falling], mode='max', factor=.1, patience=5, threshold=1e-4, min_lr=0)
    add_plateau('flat', [1.] * 60, mode='max', factor=.5, patience=3, threshold=1e-4, min_lr=1e-5)
    barely = [1 - 9e-5 * i for i in range(30)]      # each a little less than the threshold better than the last
    add_plateau('threshold', barely, mode='min', factor=.5, patience=0, threshold=1e-4, min_lr=0)
    add_plateau('tiny', [1.] * 30, mode='min', factor=.1, patience=0, threshold=1e-4, min_lr=0, lr=1e-6)
    add_plateau('nan', [float('nan')] * 4 + [1., .5] + [float('nan')] * 6, mode='min', factor=.1, patience=2, threshold=1e-4,
                min_lr=0)

    os.makedirs(OUT, exist_ok=True)
    first = 0
    with open(os.path.join(OUT, 'training.txt'), 'w') as index, open(os.path.join(OUT, 'training.f64'), 'wb') as values:
        for name, array in arrays.items():
            index.write(name + ' ' + ' '.join(map(str, array.shape)) + f' {first}\n')
            values.write(np.ascontiguousarray(array, '<f8').tobytes())
            first += array.size
    print(f'{len(arrays)} arrays, {8 * first} bytes')


if __name__ == '__main__':
    main()
