"""A result for people: one HTML page that needs nothing else, and tables for the documentation."""

import re
from html import escape

import figures
import svg
import targets
from shapes import DIRECT, GROWTH, UNITS

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1d; --dim: #6a6a6a; --line: #d9d9d9; --page: #fff;
  --good: #1f7a3d; --bad: #b3261e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --dim: #9a9a9a; --line: #3a3a3a; --page: #161616; --good: #6fce8f;
    --bad: #f2857c } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 1320px; margin: 2rem auto; padding: 0 1.2rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
h3 { font-size: .95rem; margin: 0 0 .3rem } p { margin: .4rem 0; max-width: 70em }
.dim { color: var(--dim) }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 560px), 1fr));
  gap: 1.4rem 2rem }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif }
svg text { fill: var(--ink) } svg text.ours { font-weight: 700 }
.grid { stroke: var(--line) } .one { stroke: var(--dim); stroke-width: 1.5 }
.spread { stroke: var(--ink); stroke-width: 1.2 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums }
td, th { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: right }
td:first-child, th:first-child, td.words, th.words { text-align: left }
.reached { color: var(--good) } .missed { color: var(--bad); font-weight: 600 }
"""
HONESTY = ("Visitor, relay, agent and service share this machine's cores and its loopback. Only "
           "the ratios within one run mean something, and none of them says what a network would "
           "show. A difference under 10 % is a tie.")
SHARES = ((0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"))
CURVES = ("ping-pong-64", "connect-paced", "http-paced", "http-x64")


def machine_line(result):
    about = result["machine"]
    others = about["others"]
    return (f"Linux {about['kernel']}, {about['cpu']}, {about['cores']} cores, of which others had "
            f"{100 * others['median']:.0f} % (at most {100 * others['max']:.0f} %); "
            f"{result['date']}, revision {result['revision']}; "
            f"{result['rounds']} interleaved rounds, medians")


def titles(result):
    return {name: way["title"] for name, way in result["ways"].items()}


def ratio_rows(figure):
    return {way: row["ratio"] for way, row in figure["ways"].items() if row.get("ratio")}


# -- plots ----------------------------------------------------------------------------------------


def curve_plots(result):
    for key in CURVES:
        shape = result["shapes"].get(key)
        if shape is None:
            continue
        series = {way: points for way, points in shape["percentiles"].items() if points}
        plot = svg.lines(series, titles(result), f"percentiles of {shape['title']}", SHARES,
                         "µs, by the share of all that took no longer",
                         lambda share: 1 / (1 - share))
        yield f"<figure><h3>{escape(shape['title'])}</h3>{plot}</figure>"


def growth_plot(result):
    series = {}
    for streams in GROWTH:
        shape = result["shapes"].get(f"growth-{streams}")
        for way, row in shape["figures"]["per_s"]["ways"].items() if shape else ():
            if "median" in row:
                series.setdefault(way, []).append((streams, row["median"]))
    if not series:
        return ""
    plot = svg.lines(series, titles(result), "operations by streams",
                     [(n, str(n)) for n in GROWTH], "operations a second, by streams")
    return ("<h2>Growth with streams</h2><div class=plots><figure><h3>ping-pong of 64 B</h3>"
            f"{plot}</figure></div>")


def bar_plots(result):
    for shape in result["shapes"].values():
        if shape["title"].startswith("growth"):
            continue
        name, figure = next(iter(shape["figures"].items()))
        rows = ratio_rows(figure)
        if rows:
            better = "more" if figure["more_is_better"] else "less"
            title = f"{shape['title']}: {UNITS[name]} × direct ({better} is better)"
            plot = svg.bars(rows, titles(result), title, figure["more_is_better"])
            yield f"<figure><h3>{escape(title)}</h3>{plot}</figure>"


# -- tables ---------------------------------------------------------------------------------------


def cost_of(shape, way):
    """(what it costs, in which unit) of one way, or None."""
    cost = shape["cost"].get(way, {})
    for name, unit in (("cpu_s_per_gb", "s/GB"), ("cpu_us_per_operation", "µs")):
        if name in cost:
            return f"{figures.short(cost[name]['median'])} {unit}"
    return None


def target_rows(result):
    for target, value, verdict in targets.judge(result):
        if value is not None:
            sign = "≤" if target.at_most else "≥"
            note = f" ({value['note']})" if "note" in value else ""
            yield (target.title + note, f"{sign} {target.least:g}", f"{sign} {target.stretch:g}",
                   figures.told(value), verdict)


def figure_rows(result, ways):
    """Every shape's figures: direct as it is, the others as ratios."""
    for shape in result["shapes"].values():
        for name, figure in shape["figures"].items():
            direct = figure["ways"][DIRECT]
            cells = [figures.told(figure["ways"].get(way, {}).get("ratio")) for way in ways]
            as_it_is = figures.short(direct["median"]) if "median" in direct else "-"
            yield [f"{shape['title']}, {UNITS[name]}", as_it_is, *cells]


def cost_rows(result, ways):
    for shape in result["shapes"].values():
        cells = [cost_of(shape, way) or "-" for way in ways]
        if set(cells) != {"-"}:
            yield [shape["title"], *cells]


def switch_rows(result, ways):
    for shape in result["shapes"].values():
        found = [shape["cost"].get(way, {}).get("switches") for way in ways]
        if any(found):
            unit = "/GB" if "cpu_s_per_gb" in next(iter(shape["cost"].values())) else ""
            yield [shape["title"] + unit, *(figures.short(f["median"]) if f else "-"
                                            for f in found)]


def memory_rows(result):
    for way, kinds in result["memory"].items():
        for found in kinds:
            yield [f"{titles(result)[way]}, {found['kind']}", found["start"]["pss"],
                   found["start"]["rss"], found["with_idle"]["pss"], found["with_idle"]["rss"],
                   found["kb_per_idle"]]


def call_rows(result):
    for key, count in result.get("system_calls", {}).items():
        if key in result["shapes"] and count is not None:
            unit = " (a MB)" if key.startswith("bulk") else " (an operation)"
            yield [result["shapes"][key]["title"] + unit, count]


# What a client says when its way fails names a port of this run.
PORT = re.compile(r" --port \d+")


def failure_rows(result):
    for shape in result["shapes"].values():
        for way, row in next(iter(shape["figures"].values()))["ways"].items():
            for reason in sorted(set(row.get("failures", ()))):
                yield [shape["title"], titles(result)[way],
                       f"{row['failures'].count(reason)} of {result['rounds']}",
                       PORT.sub("", reason)]


def sections(result):
    """(heading, remark, columns, rows) of each table."""
    ways = [name for name in result["ways"] if name != DIRECT]
    heads = [titles(result)[way] for way in ways]
    yield ("Against the targets", "By median; least and greatest of the rounds in brackets.",
           ["target", "at least", "stretch", "measured", "verdict"], list(target_rows(result)))
    yield ("Ratios to direct", "Direct as measured; the others × direct of the same round.",
           ["shape", "direct", *heads], list(figure_rows(result, ways)))
    yield ("CPU", "Of all processes of each way, user and system: an operation's, or a GB's.",
           ["shape", *heads], list(cost_rows(result, ways)))
    yield ("Context switches", "For an operation, or a GB, of all processes of each way.",
           ["shape", *heads], list(switch_rows(result, ways)))
    yield ("Memory", "MB of all processes; KB (PSS) for each idle connection.",
           ["way", "PSS at start", "RSS", "PSS with idle", "RSS", "KB each"],
           list(memory_rows(result)))
    tool = result.get("system_calls", {}).get("tool")
    yield (f"System calls of ours, counted by {tool}", "Both processes.", ["shape", "calls"],
           list(call_rows(result)))
    yield ("What failed", "Measurements that ended without a figure.",
           ["shape", "way", "rounds", "reason"], list(failure_rows(result)))


def way_rows(result):
    for name, way in result["ways"].items():
        if name != DIRECT:
            yield f"{way['title']} {way['version']}".strip(), way["settings"]
    for name, reason in result["skipped"].items():
        yield name, f"skipped: {reason}"


def html_table(columns, rows):
    def cell(value, tag="td"):
        value = str(value)
        kind = ""
        if value.startswith(("reached", "missed")):
            kind = f' class="words {"missed" if value == "missed" else "reached"}"'
        return f"<{tag}{kind}>{escape(value)}</{tag}>"
    head = "".join(cell(c, "th") for c in columns)
    body = "".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
    return f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"


def page(result):
    curves, bars = "".join(curve_plots(result)), "".join(bar_plots(result))
    parts = [f"<h1>tunnel-uring, measured</h1><p class=dim>{escape(machine_line(result))}</p>"
             f"<p>{HONESTY}</p><ul>"]
    parts += [f"<li><b>{escape(name)}</b>: {escape(words)}</li>"
              for name, words in way_rows(result)]
    parts.append("</ul>")
    tables = [f"<h2>{escape(heading)}</h2><p class=dim>{escape(remark)}</p>"
              + html_table(columns, rows)
              for heading, remark, columns, rows in sections(result) if rows]
    parts += tables[:1]
    if bars:
        parts.append(f"<h2>Side by side</h2><div class=plots>{bars}</div>")
    if curves:
        parts.append(f"<h2>Percentiles</h2><div class=plots>{curves}</div>")
    parts += [growth_plot(result), *tables[1:]]
    return ("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
            'content="width=device-width"><title>tunnel-uring, measured</title>'
            f"<style>{STYLE} figure {{ margin: 0 }}</style><body>{''.join(parts)}</body></html>\n")


# -- documentation --------------------------------------------------------------------------------


def markdown_table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in lines) + "\n"


def markdown(result):
    parts = [f"# Measured on {result['date']}\n", machine_line(result) + ".\n", HONESTY + "\n"]
    parts.append("\n".join(f"- **{name}**: {words}" for name, words in way_rows(result)) + "\n")
    for heading, remark, columns, rows in sections(result):
        if rows:
            parts += [f"## {heading}\n", remark + "\n", markdown_table(columns, rows)]
    return "\n".join(parts)
