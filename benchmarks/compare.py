"""Comparing two results: how the ratios to the direct connection moved, and whether too far."""

import figures
from shapes import DIRECT, UNITS


def change(new, old, more_is_better):
    """The spread of new/old as a share gained (positive is better), over what the rounds saw."""
    def better(above, below):
        return above / below - 1 if more_is_better else below / above - 1
    ends = [better(new["max"], old["min"]), better(new["min"], old["max"])]
    return {"min": min(ends), "median": better(new["median"], old["median"]), "max": max(ends)}


def rows(new, old):
    """(shape, figure, way, change, beyond the old spread) of all that both have."""
    for key, shape in new["shapes"].items():
        before = old["shapes"].get(key)
        for name, figure in shape["figures"].items() if before else ():
            earlier = before["figures"].get(name, {"ways": {}})["ways"]
            for way, row in figure["ways"].items():
                now, then = row.get("ratio"), earlier.get(way, {}).get("ratio")
                if way == DIRECT or not now or not then:
                    continue
                outside = not then["min"] <= now["median"] <= then["max"]
                yield shape, name, way, change(now, then, figure["more_is_better"]), outside


def compare(new, old, bound, ours, say):
    """Prints the changes; returns what of `ours` got worse than by `bound` (a share, or None).

    A figure that only wanders within what the old rounds saw of it has not got worse."""
    say(f"compared with {old['revision']} of {old['date']}: change of the ratio to direct, "
        "median (least - most); + is better")
    worse = []
    for shape, figure, way, moved, outside in rows(new, old):
        mark = ""
        if bound is not None and way in ours and moved["median"] < -bound and outside:
            mark = "  REGRESSED"
            worse.append(f"{shape['title']}, {UNITS[figure]}, {way}")
        percent = {end: 100 * value for end, value in moved.items()}
        say(f"{shape['title'] + ', ' + UNITS[figure]:<54}{way:<9}"
            f"{percent['median']:>+7.1f} % ({percent['min']:+.0f} - {percent['max']:+.0f}){mark}")
    if bound is not None:
        say(f"{len(worse)} worse by more than {figures.short(100 * bound)} %")
    return worse
