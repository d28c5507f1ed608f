"""Are the marks of one `furrow segment` those of another? Compares their 16-bit pictures of probabilities."""
import collections

import png

# Precision -> how far a logit may be off. fp32: another order of summing. fp16: 18 layers of operands rounded to 11 bits; on
# the bundled photo the emulated kernels are off by 0.035 at most.
MARGINS = {"fp32": 1e-3, "fp16": 0.05}
LEAST_OVERLAP = 0.999
LEAST_MARKS = 100

Found = collections.namedtuple("Found", "ok text")


def compare(got_path, want_path, threshold, logit_margin):
    """Intersection over union of the pixels above the threshold. One whose wanted probability is within the margin of the
    threshold counts as equal; no probability may be off by more than the margin makes of it."""
    width, height, got = png.read_grey(got_path)
    want_width, want_height, want = png.read_grey(want_path)
    if (width, height) != (want_width, want_height):
        return Found(False, f"{width}x{height} pixels, not {want_width}x{want_height}")
    least = 65535 * threshold
    margin = logit_margin * threshold * (1 - threshold) * 65535 + 1   # 1: each side is rounded to 16 bits
    both = either = marginal = far = 0
    for g, w in zip(got, want):
        p = w / 65535
        far += abs(g - w) > 1.1 * logit_margin * p * (1 - p) * 65535 + 1   # 1.1: the slope changes within the margin
        if (g >= least) != (w >= least) and abs(w - least) <= margin:
            marginal += 1
            g = w
        both += g >= least and w >= least
        either += g >= least or w >= least
    overlap = both / either if either else 0.0
    ok = overlap >= LEAST_OVERLAP and either >= LEAST_MARKS and far == 0
    return Found(ok, f"overlap {overlap:.4f} of {either} marks, {marginal} on the threshold, {far} probabilities off by more than a logit of {logit_margin}")
