#!/usr/bin/python3
"""Writes tests/data/losses: losses with their gradients and optimiser steps as PyTorch computes them.

  losses.txt   one line per array: name, n h w c, and the index of its first value in losses.f64
  losses.f64   the values, little-endian float64, NHWC

An array is called KIND/CASE/ROLE. In float64: `dice_focal` (form: what DiceFocal holds, in its order, without the clamp's
bounds; z t; value: total dice focal; dz), `cross_entropy` (z labels weights ignore; value; dz), `soft_dice`
(form: what SoftDice holds, in its order, without the cross-entropy's; then as cross_entropy), `adamw` and `sgd` (options,
p, g0 g1 g2: the gradients of three steps, p1 p2 p3: the parameters after each). In float32 `parity`: the clamped losses as
the models' training computed them, value alone.

The losses are written out here in PyTorch's own operations and differentiated by autograd: nothing is shared with the
formulas under test.

  usage: make_losses_golden.py     (from anywhere; rewrites the two files, the same bytes each time)
"""
import os

import numpy as np
import torch
import torch.nn.functional as F

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'losses')
# Bounds of the clamp in float32, in which the clamped models were trained.
LOW, HIGH = float(np.float32(1e-6)), float(np.float32(1) - np.float32(1e-6))
arrays = {}


def save(case, **roles):
    for role, value in roles.items():
        array = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value, np.float64)
        arrays[f'{case}/{role}'] = array.reshape((1,) * (4 - array.ndim) + array.shape)


def rng(case):
    return np.random.RandomState(list(case.encode()))


def dice_focal(z, t, dice_weight=1., focal_weight=1., alpha_positive=.9, alpha_negative=.1, gamma=1., pos_weight=1.,
               dice_map_weight=0., eps=1e-6, clamp=False, double_sigmoid=False, batch_broadcast=False,
               dice_over_batch=False):
    """z, t [B,H,W]. Focal terms of soft targets are weighed by t; the BCE form where nothing is clamped."""
    if double_sigmoid:
        z = torch.sigmoid(z)
    p = torch.sigmoid(z)
    m = 1 + dice_map_weight * t
    flat = (1, -1) if dice_over_batch else (len(z), -1)
    pf, tf, mf = p.reshape(flat), t.reshape(flat), m.reshape(flat)
    dice = 1 - ((2 * (pf * tf * mf).sum(1) + eps) / ((pf * mf).sum(1) + (tf * mf).sum(1) + eps)).mean()
    if batch_broadcast:
        z, p, t = z[None], p[None], t[:, None]          # [1,B,H,W] against [B,1,H,W]
    if clamp:
        p = p.clamp(LOW, HIGH)
        positive = -alpha_positive * (1 - p) ** gamma * torch.log(p) * pos_weight
        negative = -alpha_negative * p ** gamma * torch.log(1 - p)
    else:
        zeros, ones = torch.zeros_like(z), torch.ones_like(z)
        weight = torch.tensor(pos_weight, dtype=z.dtype)
        bce = lambda target: F.binary_cross_entropy_with_logits(z, target, pos_weight=weight, reduction='none')
        positive = alpha_positive * (1 - p) ** gamma * bce(ones)
        negative = alpha_negative * p ** gamma * bce(zeros)
    focal = (t * positive + (1 - t) * negative).mean()
    return dice_weight * dice + focal_weight * focal, dice, focal


def add_dice_focal(name, shape, soft=False, spread=4., share=.2, **form):
    case = 'dice_focal/' + name
    random = rng(case)
    z = torch.tensor(random.normal(0, spread, shape), requires_grad=True)
    t = random.uniform(0, 1, shape) if soft else (random.uniform(0, 1, shape) < share).astype(np.float64)
    if name.endswith('empty'):
        t = np.zeros(shape)
    total, dice, focal = dice_focal(z, torch.tensor(t), **form)
    total.backward()
    full = dict(dice_weight=1, focal_weight=1, alpha_positive=.9, alpha_negative=.1, gamma=1, pos_weight=1,
                dice_map_weight=0, eps=1e-6, clamp=0, double_sigmoid=0, batch_broadcast=0, dice_over_batch=0)
    full.update(form)
    save(case, form=[float(v) for v in full.values()], z=z[..., None], t=t[..., None],
         value=[total.item(), dice.item(), focal.item()], dz=z.grad[..., None])


def add_parity(name, positives, spread, alpha, gamma):
    """The clamped losses in float32, on 4 x 24 x 24: z is a float32, so that both sides see the same number."""
    case = 'parity/' + name
    random = rng(case)
    z = random.normal(0, spread, (4, 24, 24)).astype(np.float32)
    t = (random.uniform(0, 1, z.shape) < positives).astype(np.float32)
    total, dice, focal = dice_focal(torch.tensor(z), torch.tensor(t), alpha_positive=alpha, alpha_negative=1 - alpha,
                                    gamma=gamma, clamp=True)
    save(case, z=z[..., None], t=t[..., None], value=[total.item(), dice.item(), focal.item()])


def add_cross_entropy(name, shape, classes, weighted=False, ignore=-100, ignored=0., spread=3.):
    case = 'cross_entropy/' + name
    random = rng(case)
    z = torch.tensor(random.normal(0, spread, (*shape, classes)), requires_grad=True)
    labels = random.randint(0, classes, shape)
    labels[random.uniform(0, 1, shape) < ignored] = ignore
    weights = random.uniform(.2, 3, classes).astype(np.float32).astype(np.float64) if weighted else np.ones(classes)
    loss = F.cross_entropy(z.permute(0, 3, 1, 2), torch.tensor(labels), torch.tensor(weights), ignore_index=ignore)
    loss.backward()
    save(case, z=z, labels=labels[..., None], weights=weights, ignore=[ignore], value=[loss.item()], dz=z.grad)


def soft_dice(z, labels, weights, dice_weight=1., entropy_weight=1., first_class=0, over_batch=True,
              classes_together=False, eps=1e-6, ignore=-100):
    """z [B,H,W,C], labels [B,H,W]."""
    entropy = F.cross_entropy(z.permute(0, 3, 1, 2), labels, weights, ignore_index=ignore)
    counts = (labels != ignore)[..., None].to(z.dtype)
    p = torch.softmax(z, 3) * counts
    t = F.one_hot(labels.clamp(0, z.shape[3] - 1), z.shape[3]).to(z.dtype) * counts
    p, t = p[..., first_class:], t[..., first_class:]
    over = [1, 2] + [0] * over_batch + [3] * classes_together
    both, sizes = (p * t).sum(over), (p + t).sum(over)
    dice = (1 - (2 * both + eps) / (sizes + eps)).mean()
    return dice_weight * dice + entropy_weight * entropy, dice, entropy


def add_soft_dice(name, shape, classes, weighted=False, ignore=-100, ignored=0., spread=3., absent=None, **form):
    case = 'soft_dice/' + name
    random = rng(case)
    z = torch.tensor(random.normal(0, spread, (*shape, classes)), requires_grad=True)
    labels = random.randint(0, classes, shape)
    if absent is not None:
        labels[labels == absent] = 0
    labels[random.uniform(0, 1, shape) < ignored] = ignore
    weights = random.uniform(.2, 3, classes).astype(np.float32).astype(np.float64) if weighted else np.ones(classes)
    total, dice, entropy = soft_dice(z, torch.tensor(labels), torch.tensor(weights), ignore=ignore, **form)
    total.backward()
    full = dict(dice_weight=1, entropy_weight=1, first_class=0, over_batch=1, classes_together=0, eps=1e-6)
    full.update(form)
    save(case, form=[float(v) for v in full.values()], z=z, labels=labels[..., None], weights=weights, ignore=[ignore],
         value=[total.item(), dice.item(), entropy.item()], dz=z.grad)


def add_optimiser(kind, name, make, options, clip=0.):
    """Two groups over 12 + 7 parameters; options: lr, decay of each group, clip (0: none), then the kind's own."""
    case = f'{kind}/{name}'
    random = rng(case)
    groups = [torch.nn.Parameter(torch.tensor(random.uniform(-1, 1, n))) for n in (12, 7)]
    optimiser = make(groups)
    flat = lambda: torch.cat([g.detach().clone() for g in groups])
    save(case, options=options, p=flat())
    for step in range(3):
        gradient = random.normal(0, 2, 19)
        for group, part in zip(groups, np.split(gradient, [12])):
            group.grad = torch.tensor(part)
        if clip:
            torch.nn.utils.clip_grad_norm_(groups, clip)
        optimiser.step()
        save(case, **{f'g{step}': gradient, f'p{step + 1}': flat()})


def main():
    add_dice_focal('L0', (3, 5, 7), gamma=0., alpha_positive=1., alpha_negative=1., dice_over_batch=True)
    L1 = dict(dice_weight=.7, focal_weight=.3, alpha_positive=.25, alpha_negative=.25, gamma=2.)
    add_dice_focal('L1', (3, 5, 7), **L1)
    add_dice_focal('L1_double_sigmoid', (2, 5, 7), double_sigmoid=True, **L1)
    add_dice_focal('pure_dice', (2, 4, 9), dice_weight=1., focal_weight=0., alpha_positive=.4, alpha_negative=.4, gamma=2.)
    add_dice_focal('L2', (3, 5, 7), dice_weight=.7, focal_weight=.3, alpha_positive=.25, alpha_negative=.75, gamma=2.)
    add_dice_focal('L3', (2, 6, 5), dice_weight=.7, focal_weight=.3, alpha_positive=.75, alpha_negative=.25, gamma=2.,
                   pos_weight=1., dice_map_weight=2.)
    add_dice_focal('L3_given_3.5', (2, 6, 5), dice_weight=.7, focal_weight=.3, alpha_positive=.75, alpha_negative=.25,
                   gamma=2., pos_weight=3.5, dice_map_weight=3.5)
    add_dice_focal('L4', (2, 6, 5), dice_weight=.5, focal_weight=.5, alpha_positive=.75, alpha_negative=.25, gamma=2.,
                   pos_weight=5., dice_map_weight=5.)
    add_dice_focal('gamma_4', (2, 6, 5), dice_weight=.4, focal_weight=.6, alpha_positive=.9, alpha_negative=.1, gamma=4.,
                   pos_weight=5., dice_map_weight=5.)
    add_dice_focal('gamma_1.5', (1, 6, 5), gamma=1.5)
    L5 = dict(alpha_positive=.75, alpha_negative=.25, gamma=2., clamp=True)
    add_dice_focal('L5', (3, 5, 7), spread=9., **L5)
    add_dice_focal('L5_broadcast', (3, 5, 7), spread=9., batch_broadcast=True, **L5)
    add_dice_focal('L6', (3, 9, 7), spread=9., clamp=True)
    add_dice_focal('L6_stable_empty', (2, 5, 7))
    add_dice_focal('soft', (2, 5, 7), soft=True, gamma=2., dice_map_weight=1.5, pos_weight=2.)
    add_dice_focal('soft_broadcast', (3, 4, 5), soft=True, batch_broadcast=True)

    add_parity('sparse', .003, 3., .9, 1.)
    add_parity('wide', .1, 6., .9, 1.)
    add_parity('L5', .03, 2., .75, 2.)

    add_cross_entropy('plain', (2, 4, 5), 19)
    add_cross_entropy('ignored', (2, 5, 3), 3, ignore=255, ignored=.3)
    add_cross_entropy('weighted', (1, 6, 7), 4, weighted=True, ignored=.2)
    add_cross_entropy('wide', (1, 3, 4), 2, spread=60.)

    # Losses above are in float64; a group's own lr and decay are PyTorch's param_groups.
    def adamw(lr, decay, **more):
        return lambda g: torch.optim.AdamW([dict(params=[g[0]], weight_decay=decay), dict(params=[g[1]], weight_decay=0.)],
                                           lr=lr, **more)
    add_optimiser('adamw', 'plain', adamw(1e-2, .1), [1e-2, .1, 0, 0, .9, .999, 1e-8])
    add_optimiser('adamw', 'clipped', adamw(3e-3, .05, betas=(.8, .98), eps=1e-3), [3e-3, .05, 0, 1, .8, .98, 1e-3], clip=1.)

    def sgd(lr, decay, **more):
        return lambda g: torch.optim.SGD([dict(params=[g[0]], weight_decay=decay), dict(params=[g[1]], weight_decay=0.)],
                                         lr=lr, **more)
    add_optimiser('sgd', 'plain', sgd(.05, .1), [.05, .1, 0, 0, 0, 0])
    add_optimiser('sgd', 'momentum', sgd(.05, .1, momentum=.9), [.05, .1, 0, 2, .9, 0], clip=2.)
    add_optimiser('sgd', 'nesterov', sgd(.05, .1, momentum=.9, nesterov=True), [.05, .1, 0, 0, .9, 1])

    # After everything else, so that the bytes before stay what they were.
    add_soft_dice('L0', (2, 5, 7), 3, classes_together=True)
    add_soft_dice('L0_class_mean', (2, 5, 7), 3)
    add_soft_dice('soft_dice', (3, 4, 7), 2, entropy_weight=0.)
    add_soft_dice('foreground_dice', (2, 5, 7), 2, dice_weight=.5, entropy_weight=.5, first_class=1)
    add_soft_dice('per_image', (3, 4, 5), 4, over_batch=False, eps=.25)
    add_soft_dice('per_image_together', (3, 4, 5), 4, over_batch=False, classes_together=True, first_class=1)
    add_soft_dice('ignored', (2, 5, 6), 5, weighted=True, ignore=255, ignored=.3)
    add_soft_dice('absent_class', (1, 6, 6), 3, absent=2, spread=8.)
    add_soft_dice('wide', (1, 3, 4), 3, spread=60.)

    os.makedirs(OUT, exist_ok=True)
    first = 0
    with open(os.path.join(OUT, 'losses.txt'), 'w') as index, open(os.path.join(OUT, 'losses.f64'), 'wb') as values:
        for name, array in arrays.items():
            index.write(name + ' ' + ' '.join(map(str, array.shape)) + f' {first}\n')
            values.write(np.ascontiguousarray(array, '<f8').tobytes())
            first += array.size
    print(f'{len(arrays)} arrays, {8 * first} bytes')


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
