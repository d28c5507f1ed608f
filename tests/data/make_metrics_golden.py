#!/usr/bin/python3
"""Writes tests/data/metrics/metrics.txt: what torchmetrics 1.6.0 answers for made pictures, and plain definitions in float64.

One line per case:    case KIND N SEED: key=value ...
The pictures are not stored: test and script make the same ones from a linear congruential generator (`Made`, below).

    torchmetrics   iou f1 precision recall specificity accuracy auroc ap of BinaryX(), which count in float32
    exact_*        auroc by pairs and ap by its definition, in float64 with NumPy
    binned_*       the same after every score is rounded to k/255
    near_R_*       precision and recall within R pixels: distances between all pairs of set pixels, float64
    classes_*      MulticlassJaccardIndex and MulticlassAccuracy of class maps
    bootstrap_*    percentile interval of the mean of numbers, with a Philox written out here

    usage: PYTHONPATH=FOLDER make_metrics_golden.py    (FOLDER: pip install --target FOLDER --no-deps torchmetrics==1.6.0
                                                        lightning-utilities; PyTorch 1.13 or later)
"""
import os
import warnings

import numpy as np
import torch
import torchmetrics
from torchmetrics import classification as tm

assert torchmetrics.__version__ == '1.6.0'
warnings.simplefilter('ignore')
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'metrics', 'metrics.txt')


class Made:
    """x' = 6364136223846793005 x + 1442695040888963407 mod 2^64; a draw is the upper 24 bits over 2^24, exact in float32."""
    def __init__(self, seed):
        self.x = seed

    def draw(self):
        self.x = (6364136223846793005 * self.x + 1442695040888963407) % 2**64
        return (self.x >> 40) / 2**24


def picture(kind, n, seed):
    """n x n scores (float32) and targets. Wrinkled: diagonal lines, scores pulled towards them."""
    made = Made(seed)
    scores, targets = np.zeros((n, n), np.float32), np.zeros((n, n), np.uint8)
    for y in range(n):
        for x in range(n):
            line = kind != 'no_truth' and (x + 2 * y + seed) % 17 < 2
            u, v = made.draw(), made.draw()
            target = line if kind != 'all_truth' else True
            score = u * u * u * u if not line else 1 - v * v
            if kind == 'no_prediction':
                score = u / 4
            if kind == 'coarse':
                score = int(score * 8) / 8
            if kind == 'narrow':                       # within one bin or two of the histogram
                score = 0.3 + (0.2 * score + u) / 65536
            scores[y, x], targets[y, x] = score, target
    return scores, targets


def auroc(scores, targets):
    positives, negatives = np.sort(scores[targets == 1]), np.sort(scores[targets == 0])
    if not len(positives) or not len(negatives):
        return None
    below = np.searchsorted(negatives, positives, 'left')
    upto = np.searchsorted(negatives, positives, 'right')
    return float((below + (upto - below) / 2).sum() / (len(positives) * len(negatives)))


def ap(scores, targets):
    if not targets.any():
        return None
    total, before, answer = int(targets.sum()), 0, 0.0
    for score in np.unique(scores)[::-1]:
        chosen = scores >= score
        tp = int(targets[chosen].sum())
        answer += (tp - before) / total * (tp / int(chosen.sum()))
        before = tp
    return answer


def near(predicted, truth, radius):
    def share(a, b):
        if not len(a):
            return 0.0
        if not len(b):
            return 0.0
        squared = ((a[:, None, :] - b[None, :, :]) ** 2).sum(2).min(1)
        return float((squared <= radius * radius).mean())
    p, t = np.argwhere(predicted), np.argwhere(truth)
    return share(p, t), share(t, p)


def philox(key, counter):
    c, k0, k1 = list(counter), key & 0xffffffff, key >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 & 0xffffffff, (p0 >> 32) ^ c[3] ^ k1, p0 & 0xffffffff]
        k0, k1 = (k0 + 0x9E3779B9) & 0xffffffff, (k1 + 0xBB67AE85) & 0xffffffff
    return c


def bootstrap(n, seed, resamples, level):
    made = Made(seed)
    values = np.array([made.draw() for _ in range(n)])
    means = []
    for b in range(resamples):
        drawn = []
        for i in range(n):
            word = philox(seed, (i // 4, 0, b, 0))[i % 4]
            drawn.append(int((word >> 8) * 2.0**-24 * n))
        means.append(values[drawn].mean())
    return np.quantile(means, [(1 - level) / 2, (1 + level) / 2])


def text(value):
    return 'none' if value is None else repr(float(value))


def main():
    lines = []
    for kind in ('wrinkled', 'coarse', 'narrow', 'no_truth', 'no_prediction', 'all_truth'):
        for n, seed in ((23, 5), (48, 11)):
            scores, targets = picture(kind, n, seed)
            p, t = torch.from_numpy(scores).flatten(), torch.from_numpy(targets.astype(np.int64)).flatten()
            found = {}
            for name, metric in (('iou', tm.BinaryJaccardIndex), ('f1', tm.BinaryF1Score), ('precision', tm.BinaryPrecision),
                                 ('recall', tm.BinaryRecall), ('specificity', tm.BinarySpecificity), ('accuracy', tm.BinaryAccuracy)):
                found[name] = metric()(p, t)
            if 0 < int(t.sum()) < len(t):
                found['auroc'], found['ap'] = tm.BinaryAUROC()(p, t), tm.BinaryAveragePrecision()(p, t)
            rounded = np.rint(scores.astype(np.float64) * 255)
            found.update(exact_auroc=auroc(scores, targets), exact_ap=ap(scores, targets),
                         binned_auroc=auroc(rounded, targets), binned_ap=ap(rounded, targets))
            for radius in (0, 1, 2, 3, 5):
                found[f'near_{radius}_precision'], found[f'near_{radius}_recall'] = near(scores > 0.5, targets, radius)
            lines.append(f'case {kind} {n} {seed}: ' + ' '.join(f'{k}={text(v)}' for k, v in found.items()))
    for classes, n, seed in ((3, 40, 3), (5, 31, 8)):
        made = Made(seed)
        truth, predicted = np.zeros(n * n, np.int64), np.zeros(n * n, np.int64)
        for i in range(n * n):                          # the last class never occurs
            u, v = made.draw(), made.draw()
            truth[i] = int(u * u * (classes - 1))
            predicted[i] = truth[i] if v < 0.7 else int(v * 10) % (classes - 1)
        p, t = torch.from_numpy(predicted), torch.from_numpy(truth)
        found = {f'iou_{k}': v for k, v in enumerate(tm.MulticlassJaccardIndex(classes, average=None)(p, t))}
        found['mean_iou'] = tm.MulticlassJaccardIndex(classes, average='macro')(p, t)
        found['accuracy'] = tm.MulticlassAccuracy(classes, average='micro')(p, t)
        lines.append(f'case classes_{classes} {n} {seed}: ' + ' '.join(f'{k}={text(v)}' for k, v in found.items()))
    for n, seed, resamples, level in ((7, 1, 200, 0.95), (40, 12345678901, 100, 0.9)):
        low, high = bootstrap(n, seed, resamples, level)
        lines.append(f'case bootstrap {n} {seed}: resamples={text(resamples)} level={text(level)} low={text(low)} high={text(high)}')
    os.makedirs(os.path.dirname(OUT), exist_ok=True)
    with open(OUT, 'w') as file:
        file.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
