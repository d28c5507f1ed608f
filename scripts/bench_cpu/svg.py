"""A report of scripts/bench_cpu.sh as a picture: bars of the fastest other's time over ours, and the roofline. Standard library only."""
import html
import math

WIDTH, ROW, LEFT = 900, 22, 330
BLUE, GRAY, RED = "#2563a8", "#8a8f98", "#b3421f"


def text(x, y, words, anchor="start", size=12, colour="#222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" stroke="#fff" stroke-width="3" paint-order="stroke">{html.escape(words)}</text>'


def line(x1, y1, x2, y2, colour=GRAY, dash=""):
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashes}/>'


def best_of(peers):
    return next((r for r in peers if r["ratio"]), None)


def bars(found, top):
    """(lines, height): one bar a case, ours being 1."""
    drawn = [text(10, top + 16, "Time of the fastest other over Furrow's (1: as fast; longer: Furrow is faster)", size=14)]
    y = top + 30
    most = max([best_of(peers)["ratio"] for _, _, peers in found if best_of(peers)] + [1.0])
    scale = (WIDTH - LEFT - 190) / most
    one = len(drawn)
    for key, _, peers in found:
        best = best_of(peers)
        drawn.append(text(LEFT - 8, y + 14, key, "end"))
        if best:
            drawn += [f'<rect x="{LEFT}" y="{y + 3}" width="{best["ratio"] * scale:.1f}" height="{ROW - 7}" fill="{BLUE if best["ratio"] >= 1 else RED}"/>',
                      text(LEFT + best["ratio"] * scale + 6, y + 14, f"{best['ratio']:.2f}  {best['setting']}", size=11)]
        else:
            drawn.append(text(LEFT + 6, y + 14, "no other ran, or no clean sample", size=11, colour=GRAY))
        y += ROW
    drawn.insert(one, line(LEFT + scale, top + 28, LEFT + scale, y, "#222", "3 3"))   # bars and words lie over it
    return drawn, y - top + 10


def ticks(low, high):
    """1, 2 and 5 times powers of ten between 10^low and 10^high."""
    steps = (f * 10**p for p in range(math.floor(low), math.ceil(high) + 1) for f in (1, 2, 5))
    return [value for value in steps if low <= math.log10(value) <= high]


def roofline(told, found, top):
    """(lines, height): GFLOP/s over FLOP per byte, of ours and the fastest other, beside what the cores can do."""
    height, right, bottom = 300, WIDTH - 200, top + 290
    threads = sorted({ours["threads"] for _, ours, _ in found})
    peak, copy = told["ceilings"]["flops_per_s"], told["ceilings"]["bytes_per_s"]
    points = []
    found = [one for one in found if one[1].get("precision") != "int8"]   # the roof is that of float32
    for key, ours, peers in found:
        for row, colour in ((ours, BLUE), (best_of(peers), GRAY)):
            if row and row["ms"]:
                points.append((ours["flops"] / ours["bytes"], ours["flops"] / row["ms"]["median"] * 1e3, colour, f"{key}: {row['setting']}"))
    across = [p[0] for p in points] + [peak / copy]
    up = [p[1] for p in points] + [peak * max(threads, default=1)]
    x0, x1 = math.log10(min(across) / 2), math.log10(max(across) * 2)
    y0, y1 = math.log10(min(up) / 1.5), math.log10(max(up) * 1.3)

    def place(x, y):
        return LEFT / 3 + (math.log10(x) - x0) / (x1 - x0) * (right - LEFT / 3), bottom - (math.log10(y) - y0) / (y1 - y0) * (height - 50)

    drawn = [text(10, top + 16, "Roofline: GFLOP/s of the direct sum (Winograd does less arithmetic) over FLOP per byte", size=14)]
    for value in ticks(y0, y1):
        _, y = place(10**x0, value)
        drawn += [line(LEFT / 3, y, right, y, "#e3e5e8"), text(LEFT / 3 - 6, y + 4, f"{value / 1e9:g}", "end", 11)]
    for value in ticks(x0, x1):
        x, _ = place(value, 10**y0)
        drawn += [line(x, top + 40, x, bottom, "#e3e5e8"), text(x, bottom + 14, f"{value:g}", "middle", 11)]
    for count in threads:
        knee = peak * count / copy
        start = max(10**x0, 10**y0 / copy)
        drawn += [line(*place(start, start * copy), *place(min(knee, 10**x1), min(knee, 10**x1) * copy), "#222"),
                  line(*place(min(knee, 10**x1), peak * count), *place(10**x1, peak * count), "#222"),
                  text(right + 6, place(10**x1, peak * count)[1] + 4, f"{peak * count / 1e9:.0f} GFLOP/s, {count} thread{'s' * (count > 1)}", size=11)]
    for x, y, colour, name in points:
        px, py = place(x, y)
        drawn.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"><title>{html.escape(name)}</title></circle>')
    drawn += [text(right + 6, bottom - 22, "Furrow", colour=BLUE), text(right + 6, bottom - 6, "fastest other", colour=GRAY)]
    return drawn, height + 20


def draw(told, found):
    """`found`: table.cases()."""
    upper, high = bars(found, 0)
    lower, low = roofline(told, found, high + 10) if found else ([], 0)
    total = high + low + 20
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{total}" viewBox="0 0 {WIDTH} {total}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{total}" fill="#fff"/>', *upper, *lower, "</svg>"]) + "\n"
