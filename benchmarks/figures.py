"""Numbers: what many rounds say together, and percentiles out of the load generator's buckets."""

import statistics

EXACT = 256  # As in load/histogram.cpp.
CUTS = EXACT // 2

# What a percentile curve shows, 50 to 99.99.
CURVE = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)


def middle_us(bucket):
    """The middle of a bucket, in microseconds."""
    if bucket < EXACT:
        return bucket / 1e3
    shift, low = (bucket - EXACT) // CUTS + 1, (bucket - EXACT) % CUTS + CUTS
    return (low + 0.5) * 2**shift / 1e3


def merge(histograms):
    """One histogram, as bucket -> count, out of many lists of pairs."""
    merged = {}
    for pairs in histograms:
        for bucket, count in pairs:
            merged[bucket] = merged.get(bucket, 0) + count
    return merged


def percentiles(merged, shares=CURVE):
    """Pairs of a share and the microseconds that so many did not exceed; shares that so few
    values cannot tell are left out."""
    total, passed, told = sum(merged.values()), 0, []
    wanted = [share for share in shares if total * (1 - share) >= 1]
    for bucket in sorted(merged):
        passed += merged[bucket]
        while wanted and passed >= wanted[0] * total:
            told.append((wanted.pop(0), round(middle_us(bucket), 2)))
    return told


def spread(values):
    """Least, median and greatest."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def ratios(above, below):
    """The spread of the ratios within each round; rounds that either has not are left out."""
    pairs = [(a, b) for a, b in zip(above, below) if a is not None and b]
    return spread([a / b for a, b in pairs]) if pairs else None


def known(values):
    return [v for v in values if v is not None]


def short(value):
    """Three or four digits that count, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def told(of):
    """`median (least - greatest)`."""
    if of is None:
        return "-"
    median, least, most = (f"{v:.0f}" if v >= 100 else f"{v:.2f}" for v in
                           (of["median"], of["min"], of["max"]))
    return f"{median} ({least} - {most})"
