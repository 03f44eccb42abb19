"""Holds the tree to its own rules: those of docs/HACKING.md and src/meson.build that no compiler
checks. Prints `file:line: what is wrong` and ends with `N passed, N failed`, counted in rules.

    python3 tests/tidy.py [root of the tree]

A rule is a function from a tree to its findings; tests/tidy_test.py shows that each can fail.
"""

import ast
import pathlib
import re
import sys

COLUMNS = 100
FUNCTION_LINES = 70
# Functions that may be longer, as (file, name); empty is best.
LONG_FUNCTIONS = frozenset()

SKIPPED = {".git", "build", "subprojects", "bench-out", "corpus", "__pycache__"}
TEXTS = {".cpp", ".hpp", ".py", ".md", ".build", ".txt", ".in", ""}


class Tree:
    """Texts by their path from the root, other files' paths, and what directories that makes."""

    def __init__(self, texts, others=()):
        self.texts = texts
        self.stripped = {}
        self.paths = {*texts, *others}
        for path in tuple(self.paths):
            self.paths.update(str(parent) for parent in pathlib.PurePosixPath(path).parents)

    def files(self, *suffixes, under=("",)):
        return [(path, text) for path, text in sorted(self.texts.items())
                if path.endswith(suffixes) and path.startswith(tuple(under))]

    def code(self, under=("src/", "include/", "tests/", "benchmarks/")):
        """C++ files, without comments, literals and what the preprocessor takes."""
        for path, text in self.files(".cpp", ".hpp", under=under):
            if path not in self.stripped:
                self.stripped[path] = strip(text)
            yield path, self.stripped[path]


def read_tree(root):
    texts, others = {}, []
    skipped = SKIPPED | {path.parent.name for path in root.glob("*/meson-private")}
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root)
        if not skipped.isdisjoint(place.parts) or not path.is_file():
            continue
        if path.suffix in TEXTS:
            texts[place.as_posix()] = path.read_text(encoding="utf-8")
        else:
            others.append(place.as_posix())
    return Tree(texts, others)


TOKEN = re.compile(
    r"""(?P<blank>//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:\\\n|[^\n])*)
      | (?P<raw>\b(?:u8|[uUL])?R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)")
      | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')
      | \d(?:'?[\w.])* | \w+""",
    re.DOTALL | re.MULTILINE | re.VERBOSE)


def strip(text):
    """The same text, line by line and column by column, with blanks for what is not code."""
    def blank(match):
        if match["blank"] or match["raw"]:
            return re.sub(r"[^\n]", " ", match[0])
        if match["text"]:
            return '"' + " " * (len(match[0]) - 2) + '"'
        return match[0]
    return TOKEN.sub(blank, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def lines_fit(tree):
    for path, text in sorted(tree.texts.items()):
        if path.endswith((".md", ".txt")):  # Tables, links and messages do not wrap.
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > COLUMNS:
                yield path, number, f"{len(line)} columns; {COLUMNS} at most"


# ── functions ─────────────────────────────────────────────────────────────────────────────────────

INITIALISED = re.compile(r"\)[^:]*[^:]:(?!:).*[\w>]$", re.DOTALL)  # `name(…) : member_`
TYPE = re.compile(r"\b(?:namespace|class|struct|union|enum|extern)\b")
LAMBDA = re.compile(r"\](?:\s*\(.*\))?[^()]*$", re.DOTALL)
NAME = re.compile(r"([~\w:]+(?:\s*(?:[=<>!+*-]+|\(\)))?)\s*\(")


def kind_of(head, outer):
    """What the brace after `head` opens: a scope, a function, a block in one, or a list."""
    if outer in ("function", "block"):
        return "block"
    if outer == "list":
        return "function" if LAMBDA.search(head) else "list"
    if INITIALISED.search(head):
        return "member"
    if "(" in head:
        return "function"
    return "scope" if TYPE.search(head) else "list"


def functions(code):
    """The outermost functions of stripped code, as (first line, last line, name)."""
    open_ones, head_at, rounds = [("scope", 0)], 0, 0
    for match in re.finditer(r"[{}();]", code):
        sign, at = match[0], match.start()
        if sign in "()":
            rounds += 1 if sign == "(" else -1
        elif sign == "{":
            kind = kind_of(code[head_at:at].strip(), open_ones[-1][0])
            open_ones.append((kind, head_at))
            if kind != "member":
                head_at = at + 1
        elif sign == "}":
            kind, began = open_ones.pop() if len(open_ones) > 1 else ("scope", 0)
            if kind == "function":
                head = code[began:at]
                began += len(head) - len(head.lstrip())
                name = NAME.search(code, began)
                yield line_of(code, began), line_of(code, at), name[1] if name else "lambda"
            head_at = began if kind == "member" else at + 1
        elif rounds == 0 or open_ones[-1][0] in ("function", "block"):
            head_at = at + 1


def functions_fit_a_screen(tree):
    found = [(path, *one) for path, code in tree.code() for one in functions(code)]
    for path, text in tree.files(".py"):
        found += [(path, one.lineno, one.end_lineno, one.name) for one in ast.walk(ast.parse(text))
                  if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for path, first, last, name in found:
        length = last - first + 1
        if length > FUNCTION_LINES and (path, name) not in LONG_FUNCTIONS:
            yield path, first, f"{name} has {length} lines; {FUNCTION_LINES} at most"


# ── floors ────────────────────────────────────────────────────────────────────────────────────────

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
# What only some of the sources may include.
GUARDED = (
    ("liburing", ("src/ring/",)),
    ("toml++", ("src/app/",)),
    ("nlohmann", ("src/app/",)),
    ("openssl", ("src/wire/token.cpp", "src/app/version.cpp")),
)


def includes(tree, *under):
    for path, text in tree.files(".cpp", ".hpp", under=under):
        for match in INCLUDE.finditer(text):
            yield path, line_of(text, match.start()), match[1] == '"', match[2]


def floors_of(tree):
    listed = re.search(r"^floors = \[(.*?)\]", tree.texts.get("src/meson.build", ""),
                       re.DOTALL | re.MULTILINE)
    return re.findall(r"'(\w+)'", listed[1]) + ["app"] if listed else []


def may_include(floors, user, used):
    if user == used:
        return True
    if user == "wire":
        return used == "base"
    if used == "wire":  # Bytes in, values out: what does I/O below the tunnel knows none of it.
        return user in ("tunnel", "admin", "app")
    return floors.index(used) < floors.index(user)


def floors_look_down_only(tree):
    floors = floors_of(tree)
    if not floors:
        yield "src/meson.build", 1, "no list of floors"
        return
    for path, line, ours, name in includes(tree, "src/"):
        user, used = path.split("/")[1], name.split("/")[0]
        if user not in floors:
            yield path, line, f"{user} is not a floor of src/meson.build"
        elif ours and used not in floors:
            yield path, line, f'"{name}" is on no floor'
        elif ours and not may_include(floors, user, used):
            yield path, line, f"{user} may not include {used}"


def libraries_stay_where_they_belong(tree):
    for path, line, _, name in includes(tree, "src/", "benchmarks/"):
        for library, places in GUARDED:
            if name.startswith(library) and not path.startswith(places):
                yield path, line, f"<{name}> is for {' and '.join(places)} only"
    for path, line, ours, name in includes(tree, "include/"):
        if ours or ("/" in name or name.endswith(".h")) and not name.startswith("tunnel_uring/"):
            yield path, line, f"a public header includes {name}"


# ── coroutines ────────────────────────────────────────────────────────────────────────────────────

BLOCK_BEFORE = re.compile(r"(?:^|[^=,(\s\[])\s+$")


def opens_block(code, brace):
    """clang-format puts a space before the brace of a block, and `= {`, `({`, `x{` elsewhere."""
    before = code[:brace]
    return bool(BLOCK_BEFORE.search(before)) and not re.search(r"\b(?:co_)?return\s+$", before)


def opener(code, at):
    """Where the innermost bracket around `at` opens; -1 where there is none."""
    depth = 0
    for i in range(at - 1, -1, -1):
        depth += {")": 1, "]": 1, "}": 1, "(": -1, "[": -1, "{": -1}.get(code[i], 0)
        if depth < 0:
            return i
    return -1


def statement_before(code, at):
    """What stands before `at` in its statement; None where it is inside brackets of any kind."""
    around = opener(code, at)
    if around >= 0 and not (code[around] == "{" and opens_block(code, around)):
        return None
    began, i = around + 1, at - 1
    while i > around:
        if code[i] == ";" or code[i] == "}" and opens_block(code, opener(code, i)):
            began = i + 1
            break
        i = opener(code, i) - 1 if code[i] in ")]}" else i - 1
    return code[began:at].strip()


def statement_after(code, at):
    depth = 0
    for i in range(at, len(code)):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(code[i], 0)
        if depth < 0 or code[i] == ";" and depth == 0:
            return code[at:i]
    return code[at:]


def outside_brackets(code):
    """`code` without what its brackets hold."""
    while (less := re.sub(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}", "", code)) != code:
        code = less
    return code


CONTROL = re.compile(r"^(?:else\b|do\b|case\b[^?]*?:(?!:)|default\s*:|\w+\s*:(?!:)|"
                     r"(?:else\s+)?(?:if|for|while|switch)\b(?:\s+constexpr)?\s*\()")


def without_control(statement):
    """`if (x) y = ` is ` y = `: what hangs on a condition is a statement of its own."""
    while match := CONTROL.match(statement):
        end = match.end()
        if match[0].endswith("("):
            depth = 1
            while depth and end < len(statement):
                depth += {"(": 1, ")": -1}.get(statement[end], 0)
                end += 1
        statement = statement[end:].strip()
    return statement


def flaw_of_await(code, at):
    before, after = statement_before(code, at), statement_after(code, at)
    if before is None:
        return "inside brackets: a condition, an argument or a list"
    before = without_control(before)
    if before not in ("", "co_return") and not re.search(r"[^=!<>+*/%&|^-]=$", before):
        return f"after `{before.split()[-1]}`"
    if "?" in before or re.search(r"\?|&&|\|\|| (?:[-+*/%&|^<>]|<<|>>|[<>=!]=|<=>) ",
                                  outside_brackets(after)):
        return "as part of an expression"
    if re.search(r"[({,]\s*\{\s*\.|\w\{\s*\.", after):
        return "with an aggregate that has no name"
    if re.search(r"(?<![\w\])])\[[^\]]+\]\s*[({]", after):
        return "with a lambda that captures"
    return None


def awaits_stand_alone(tree):
    for path, code in tree.code():
        for match in re.finditer(r"\bco_await\b", code):
            if re.search(r"\boperator\s+$", code[:match.start()]):
                continue
            if flaw := flaw_of_await(code, match.start()):
                yield path, line_of(code, match.start()), f"co_await {flaw}"


def lambda_coroutines_capture_nothing(tree):
    for path, code in tree.code():
        for match in re.finditer(
                r"(?<![\w\])\[])\[([^\[\]]+)\]\s*(?:\([^{};]*?\)\s*)?(?:mutable\s*)?"
                r"(?:noexcept\s*)?->\s*(?:\w+::)*task\b", code):
            yield path, line_of(code, match.start()), f"a coroutine captures [{match[1]}]"


# ── files ─────────────────────────────────────────────────────────────────────────────────────────


def is_listed(tree, path):
    place = pathlib.PurePosixPath(path)
    for parent in place.parents:
        listing = tree.texts.get((parent / "meson.build").as_posix(), "")
        if f"'{place.relative_to(parent)}'" in listing:
            return True
        if parent == place.parent:  # `name + '_fuzz.cpp'`, for each of a list of names
            for suffix in re.findall(r"\w+ \+ '(\w+\.cpp)'", listing):
                if place.name.endswith(suffix) and f"'{place.name[:-len(suffix)]}'" in listing:
                    return True
    return False


def sources_are_listed(tree):
    for path, _ in tree.files(".cpp", under=("src/", "tests/", "benchmarks/")):
        if not is_listed(tree, path):
            yield path, 1, "is in no meson.build"


def listed_files_are_there(tree):
    for path, text in tree.files("meson.build"):
        folder = pathlib.PurePosixPath(path).parent
        for match in re.finditer(r"(\+ )?'([\w/.-]+\.(?:cpp|hpp|py|in))'", text):
            if not match[1] and (folder / match[2]).as_posix() not in tree.paths:
                yield path, line_of(text, match.start()), f"{match[2]} is not there"


def headers_are_guarded(tree):
    for path, code in tree.files(".hpp"):
        if not re.search(r"^#pragma once$", code, re.MULTILINE):
            yield path, 1, "no #pragma once"


def public_headers_are_compiled_alone(tree):
    listing = tree.texts.get("tests/compiler/meson.build", "")
    for path, _ in tree.files(".hpp", under=("include/tunnel_uring/",)):
        name = path.removeprefix("include/tunnel_uring/").removesuffix(".hpp")
        if f"'{name}'" not in listing:
            yield path, 1, "tests/compiler/meson.build does not compile it alone"


def nothing_is_left_to_do(tree):
    for path, text in sorted(tree.texts.items()):
        for match in re.finditer(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b", text):
            yield path, line_of(text, match.start()), f"{match[0]}: do it, or write down why not"


def nothing_is_spliced(tree):
    """A splice in io_uring always goes to a worker thread (io_uring_enter(2))."""
    for path, text in tree.files(".cpp", ".hpp", under=("src/", "include/")):
        for match in re.finditer(r"\b(?:io_uring_prep_splice|IORING_OP_SPLICE)\b", text):
            yield path, line_of(text, match.start()), "splice runs on a worker thread"


# ── documents ─────────────────────────────────────────────────────────────────────────────────────


def prose(text):
    """A document without its code, line by line."""
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", lambda m: re.sub(r"[^\n]", " ", m[0]), text,
                  flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(`+)(?!`)[^`]+?\1", lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def anchors(text):
    """The ids of a document's headings, as GitHub and most others make them."""
    seen, ids = {}, set(re.findall(r"<a\s+(?:id|name)=\"([^\"]+)\"", text))
    fenceless = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", fenceless, re.MULTILINE):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        ids.add(f"{slug}-{count}" if count else slug)
    return ids


LINK = re.compile(r"\]\(\s*<?([^)\s>]+)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)


def resolve(path, target):
    """Where a relative link of `path` leads; None where that is outside of the tree."""
    parts = list(pathlib.PurePosixPath(path).parent.parts)
    for part in target.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."


def links_lead_somewhere(tree):
    for path, text in tree.files(".md"):
        for match in LINK.finditer(prose(text)):
            link = match[1] or match[2]
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = link.partition("#")
            place = resolve(path, target) if target else path
            if place not in tree.paths and f"{place}/" not in tree.paths:
                yield path, line_of(text, match.start()), f"{link}: no such file"
            elif anchor and anchor not in anchors(tree.texts.get(place, "")):
                yield path, line_of(text, match.start()), f"{link}: no such heading"


def named_files_are_there(tree):
    """A document that names `src/…` names a file of today."""
    for path, text in tree.files(".md"):
        for match in re.finditer(r"`((?:src|include|tests|docs|benchmarks)/[\w./-]+)`", text):
            if match[1].rstrip("/") not in tree.paths:
                yield path, line_of(text, match.start()), f"{match[1]} is not there"


RULES = (
    lines_fit, functions_fit_a_screen, floors_look_down_only, libraries_stay_where_they_belong,
    awaits_stand_alone, lambda_coroutines_capture_nothing, sources_are_listed,
    listed_files_are_there, headers_are_guarded, public_headers_are_compiled_alone,
    nothing_is_left_to_do, nothing_is_spliced, links_lead_somewhere, named_files_are_there,
)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1])
    tree = read_tree(root)
    failed = 0
    for rule in RULES:
        findings = list(rule(tree))
        failed += bool(findings)
        for path, line, what in findings:
            print(f"{path}:{line}: {what}")
    print(f"{len(RULES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
