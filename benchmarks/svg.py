"""Plots as inline SVG: lines over logarithmic axes, and bars of ratios with their spread."""

import math
from html import escape

WIDTH, ROW = 620, 22
# By way: ours stands out, direct recedes, the others differ.
COLOURS = {"direct": "#8a8a8a", "tunnel": "#c2300f", "warm": "#e8893a", "spinning": "#8f4a1f",
           "rathole": "#2f6fb0", "bore": "#3a9a6c", "frp": "#7a52a8", "chisel": "#a3873a",
           "haproxy": "#1f8fa3", "ssh": "#b04a86", "nginx": "#5a7d2a"}


def colour(name):
    return COLOURS.get(name, "#555")


def number(value):
    """For an axis: 950, 1.2k, 3M."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


class Log:
    """A logarithmic scale from data to pixels."""

    def __init__(self, low, high, first, last):
        self.low, self.high = math.log10(low), math.log10(max(high, low * 1.01))
        self.first, self.last = first, last

    def __call__(self, value):
        share = (math.log10(max(value, 1e-12)) - self.low) / (self.high - self.low)
        return round(self.first + min(max(share, 0), 1) * (self.last - self.first), 1)

    def ticks(self):
        """1, 2 and 5 of each decade; 1 only where there are many decades."""
        steps = (1, 2, 5) if self.high - self.low < 3 else (1,)
        for decade in range(math.floor(self.low), math.ceil(self.high) + 1):
            for step in steps:
                if self.low - 1e-9 <= math.log10(step) + decade <= self.high + 1e-9:
                    yield step * 10.0**decade


def text(x, y, words, anchor="start", extra=""):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" {extra}>{escape(words)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{kind}"/>'


def svg(height, parts, label):
    return (f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
            + "".join(parts) + "</svg>")


def spaced(labels, height):
    """Positions of labels so that none lies on another, as near as can be to where they belong."""
    placed, last = {}, -height
    for name, y in sorted(labels.items(), key=lambda item: item[1]):
        last = max(y, last + height)
        placed[name] = last
    return placed


def lines(series, titles, label, x_ticks, y_name, transform=lambda x: x):
    """Lines of (x, y) by way, both axes logarithmic; each is named at its end."""
    left, right, top, bottom = 52, WIDTH - 128, 12, 260
    points = [point for line_of in series.values() for point in line_of]
    if not points:
        return ""
    xs, ys = [transform(x) for x, _ in points], [y for _, y in points]
    across, up = Log(min(xs), max(xs), left, right), Log(min(ys) * 0.9, max(ys) * 1.1, bottom, top)
    parts = []
    for y in up.ticks():
        parts += [line(left, up(y), right, up(y), "grid"),
                  text(left - 6, up(y) + 4, number(y), "end")]
    for x, words in x_ticks:
        if min(xs) <= transform(x) <= max(xs) * 1.001:
            at = across(transform(x))
            parts += [line(at, top, at, bottom, "grid"), text(at, bottom + 16, words, "middle")]
    ends = {}
    for name, line_of in series.items():
        path = " ".join(f"{across(transform(x))},{up(y)}" for x, y in line_of)
        width = 2.6 if name == "tunnel" else 1.5
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour(name)}" '
                     f'stroke-width="{width}"><title>{escape(titles[name])}</title></polyline>')
        ends[name] = up(line_of[-1][1])
    for name, y in spaced(ends, 14).items():
        parts.append(text(right + 8, y + 4, titles[name], "start", f'style="fill:{colour(name)}"'))
    parts.append(text(left, bottom + 32, y_name))
    return svg(bottom + 40, parts, label)


def bars(rows, titles, label, more_is_better):
    """Ratios to direct, as {way: {min, median, max}}, on a logarithmic axis around 1."""
    left, right = 172, WIDTH - 90
    low = min(0.5, *(r["min"] for r in rows.values()))
    high = min(max(2, *(r["max"] for r in rows.values())), 100)
    across = Log(max(low, 0.01), high, left, right)
    bottom = ROW * len(rows) + 10
    parts = []
    for x in across.ticks():
        parts += [line(across(x), 4, across(x), bottom, "one" if x == 1 else "grid"),
                  text(across(x), bottom + 14, f"{x:g}×", "middle")]
    best = sorted(rows, key=lambda name: rows[name]["median"], reverse=more_is_better)
    for place, name in enumerate(best):
        row, y = rows[name], 6 + ROW * place
        start, end = across(1), across(row["median"])
        first, last = across(row["min"]), across(row["max"])
        middle = y + ROW / 2 - 2
        parts += [
            text(left - 8, middle + 4, titles[name], "end",
                 'class="ours"' if name in ("tunnel", "warm", "spinning") else ""),
            f'<rect x="{min(start, end)}" y="{y}" width="{max(abs(end - start), 1):.1f}" '
            f'height="{ROW - 6}" fill="{colour(name)}"/>',
            line(first, middle, last, middle, "spread"),
            line(first, middle - 4, first, middle + 4, "spread"),
            line(last, middle - 4, last, middle + 4, "spread"),
            text(right + 10, middle + 4, f"{row['median']:.3g} ×")]
    return svg(bottom + 22, parts, label)
