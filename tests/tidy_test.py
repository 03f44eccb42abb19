"""Shows that each rule of tidy.py can fail: what each must find, and what it must leave alone.

A case is a rule, a small tree, and the lines of its findings as `path:line`. Ends with `N passed, N
failed`.
"""

import sys

import tidy

FLOORS = {"src/meson.build": "floors = ['base', 'wire', 'coro', 'ring']\n"}


def coroutine(*lines):
    return {"src/a.cpp": "\n".join(["task<> f() {", *lines, "}", ""])}


def function(lines, head="void f() {"):
    return {"src/a.cpp": head + "\n" + "    g();\n" * (lines - 2) + "}\n"}


LONG = "int f(\n    int a)\n    : b_{a},\n      c_{a} {\n" + "    g();\n" * 66 + "}\n"

COLUMNS_AND_LENGTHS = (
    (tidy.lines_fit, {"src/a.cpp": "x" * 100 + "\n" + "ö" * 100 + "\n"}, []),
    (tidy.lines_fit, {"run": "\n" + "x" * 101 + "\n"}, ["run:2"]),
    (tidy.lines_fit, {"README.md": "x" * 101}, []),
    (tidy.functions_fit_a_screen, function(70), []),
    (tidy.functions_fit_a_screen, function(71), ["src/a.cpp:1"]),
    (tidy.functions_fit_a_screen, function(71, "namespace a {"), []),
    (tidy.functions_fit_a_screen, function(71, "class error& g(int a) const noexcept {"),
     ["src/a.cpp:1"]),
    (tidy.functions_fit_a_screen, {"src/a.cpp": LONG}, ["src/a.cpp:1"]),
    (tidy.functions_fit_a_screen,
     {"src/a.cpp": "namespace a {\nstruct b {\n  int c;\n" + function(71)["src/a.cpp"] + "};\n}"},
     ["src/a.cpp:4"]),
    (tidy.functions_fit_a_screen,
     {"src/a.cpp": "const table all{\n  {1, [](int a) {\n" + "g(a);\n" * 70 + "  }},\n};\n"},
     ["src/a.cpp:2"]),
    (tidy.functions_fit_a_screen, {"src/a.cpp": "const int all[] = {\n" + "  1,\n" * 80 + "};\n"},
     []),
    (tidy.functions_fit_a_screen, {"a.py": "def f():\n" + "    g()\n" * 70}, ["a.py:1"]),
)

FLOORS_AND_LIBRARIES = (
    (tidy.floors_look_down_only, {"src/base/a.hpp": ""}, ["src/meson.build:1"]),
    (tidy.floors_look_down_only, FLOORS | {"src/ring/a.cpp": '#include "coro/b.hpp"'}, []),
    (tidy.floors_look_down_only, FLOORS | {"src/app/a.cpp": '#include "wire/b.hpp"'}, []),
    (tidy.floors_look_down_only, FLOORS | {"src/coro/a.cpp": '\n#include "ring/b.hpp"'},
     ["src/coro/a.cpp:2"]),
    (tidy.floors_look_down_only, FLOORS | {"src/ring/a.cpp": '#include "app/b.hpp"'},
     ["src/ring/a.cpp:1"]),
    (tidy.floors_look_down_only, FLOORS | {"src/ring/a.cpp": '#include "wire/b.hpp"'},
     ["src/ring/a.cpp:1"]),
    (tidy.floors_look_down_only, FLOORS | {"src/wire/a.cpp": '#  include "coro/b.hpp"'},
     ["src/wire/a.cpp:1"]),
    (tidy.floors_look_down_only, FLOORS | {"src/ring/a.cpp": '#include "b.hpp"'},
     ["src/ring/a.cpp:1"]),
    (tidy.floors_look_down_only, FLOORS | {"src/cellar/a.cpp": '#include "base/b.hpp"'},
     ["src/cellar/a.cpp:1"]),
    (tidy.libraries_stay_where_they_belong, {"src/ring/a.cpp": "#include <liburing.h>"}, []),
    (tidy.libraries_stay_where_they_belong, {"src/net/a.cpp": "#include <liburing.h>"},
     ["src/net/a.cpp:1"]),
    (tidy.libraries_stay_where_they_belong, {"src/base/a.cpp": "#include <toml++/toml.h>"},
     ["src/base/a.cpp:1"]),
    (tidy.libraries_stay_where_they_belong, {"src/base/a.cpp": "#include <nlohmann/json.hpp>"},
     ["src/base/a.cpp:1"]),
    (tidy.libraries_stay_where_they_belong, {"src/wire/frame.cpp": "#include <openssl/evp.h>"},
     ["src/wire/frame.cpp:1"]),
    (tidy.libraries_stay_where_they_belong, {"include/tunnel_uring/a.hpp": "#include <vector>\n"
                                             "#include <tunnel_uring/task.hpp>\n"}, []),
    (tidy.libraries_stay_where_they_belong, {"include/tunnel_uring/a.hpp": "#include <fmt/core.h>"},
     ["include/tunnel_uring/a.hpp:1"]),
    (tidy.libraries_stay_where_they_belong, {"include/tunnel_uring/a.hpp": '#include "base/a.hpp"'},
     ["include/tunnel_uring/a.hpp:1"]),
)

# Each of these lines is one statement of a coroutine.
GOOD_AWAITS = (
    "co_await a();", "const auto x = co_await a();", "x = co_await a(1 + 2, b ? c : d);",
    "co_return co_await a();", "if (b) co_await a();", "else co_await a();",
    "else if (f(b)) x = co_await a();", "while (true) x = co_await a();", "do { co_await a(); }",
    "for (int i = 0; i < 3; ++i) { co_await a(); }", "case one: co_await a();",
    "default: x = co_await a();", "const result<void> x = co_await a(b{1}, std::move(c));",
    "// if (co_await a()) b();", 'say("if (co_await a())");', "/* b(co_await a()) */ c();",
    "n.start([](int a) -> task<> { co_await b(a); }(1));", "const auto x = std::array{1}; g();",
    "x = co_await a.b<int>(c[i], d->e);", "if (b) {\n} co_await a();", "for (;;) co_await a();",
)
BAD_AWAITS = (
    "if (co_await a()) b();", "if (const auto x = co_await a()) b();", "while (!co_await a()) b();",
    "switch (co_await a()) {}", "for (const auto& x : co_await a()) b();",
    "for (; co_await a();) b();", "b(co_await a());", "b(1, co_await a());",
    "b(c{1}, co_await a());",
    "static_cast<void>(co_await a());", "x = b ? co_await a() : c;", "x = b ? c : co_await a();",
    "x = co_await a() ? b : c;", "agg{co_await a(), 1};", "x = {co_await a()};",
    "return b{co_await a()};", "x = b{1, 2}; c(co_await a());", "x = b[co_await a()];",
    "x = 1 + co_await a();",
    "x += co_await a();", "x = b == co_await a();", "x = co_await a() + 1;", "x = !co_await a();",
    "x = co_await a() && b;", "b = c || co_await a();", "std::cout << co_await a();",
    "co_await dial({.host = name});", "co_await dial(options{.host = name});",
    "co_await each([this] { b(); });", "co_await each([&x](int) { b(); });",
)

COROUTINES = (
    *((tidy.awaits_stand_alone, coroutine("    int a = 0;", "    " + line), [])
      for line in GOOD_AWAITS),
    *((tidy.awaits_stand_alone, coroutine("    int a = 0;", "    " + line), ["src/a.cpp:3"])
      for line in BAD_AWAITS),
    (tidy.awaits_stand_alone, coroutine("    x =", "        b", "        ? co_await a() : c;"),
     ["src/a.cpp:4"]),
    (tidy.lambda_coroutines_capture_nothing,
     coroutine("auto a = [](x& b) -> task<> { co_await b; };", "c = d[1] -> e;"), []),
    (tidy.lambda_coroutines_capture_nothing, coroutine("auto a = [this](int b) -> task<> {};"),
     ["src/a.cpp:2"]),
    (tidy.lambda_coroutines_capture_nothing,
     coroutine("n.start([&b, c = std::move(d)]() mutable -> task<result<int>> {}());"),
     ["src/a.cpp:2"]),
)

FILES = (
    (tidy.sources_are_listed, {"src/a/b.cpp": "", "src/a/meson.build": "files('b.cpp')"}, []),
    (tidy.sources_are_listed, {"src/a/b.cpp": "", "src/a/meson.build": "files('a.cpp')"},
     ["src/a/b.cpp:1"]),
    (tidy.sources_are_listed, {"src/a/b.cpp": "", "meson.build": "executable('src/a/b.cpp')"}, []),
    (tidy.sources_are_listed,
     {"tests/f/a_fuzz.cpp": "", "tests/f/b_fuzz.cpp": "",
      "tests/f/meson.build": "foreach name : ['a']\n  x(name + '_fuzz.cpp')\nendforeach"},
     ["tests/f/b_fuzz.cpp:1"]),
    (tidy.listed_files_are_there,
     {"tests/a/b.cpp": "", "tests/a/meson.build": "files(\n  'b.cpp',\n  'c.cpp',\n)"},
     ["tests/a/meson.build:3"]),
    (tidy.headers_are_guarded, {"src/a.hpp": "// A.\n#pragma once\n"}, []),
    (tidy.headers_are_guarded, {"src/a.hpp": "// #pragma once\n"}, ["src/a.hpp:1"]),
    (tidy.public_headers_are_compiled_alone,
     {"include/tunnel_uring/a.hpp": "", "include/tunnel_uring/b.hpp": "",
      "tests/compiler/meson.build": "foreach name : ['a']"}, ["include/tunnel_uring/b.hpp:1"]),
    (tidy.nothing_is_left_to_do, {"src/a.cpp": "// TO" + "DO: all\n"}, ["src/a.cpp:1"]),
    (tidy.nothing_is_left_to_do, {"docs/a.md": "\nFIX" + "ME\nXX" + "X"},
     ["docs/a.md:2", "docs/a.md:3"]),
    (tidy.nothing_is_left_to_do, {"run": "mktemp /tmp/XX" + "XXXX"}, []),
    (tidy.nothing_is_spliced, {"src/a.cpp": "\nio_uring_prep_splice(sqe, 0, 0, 1, 0, 1, 0);"},
     ["src/a.cpp:2"]),
    (tidy.nothing_is_spliced, {"src/a.cpp": "sqe->opcode = IORING_OP_SPLICE;"}, ["src/a.cpp:1"]),
)

PAGE = ("# One\n\n## Two words, `code`\n\n## Two words, code\n\n"
        "```\n# no heading\n[a](nowhere.md)\n```\n")

DOCUMENTS = (
    (tidy.links_lead_somewhere,
     {"docs/a.md": "[b](../b.md) [c](../b.md#two-words-code) [d](#e)\n# E\n[f](https://x.y/z)\n"
                   "[g](../b.md#two-words-code-1) `[this](int)` [h](..) [i](../docs/)",
      "b.md": PAGE}, []),
    (tidy.links_lead_somewhere, {"docs/a.md": "\n[b](b.md)"}, ["docs/a.md:2"]),
    (tidy.links_lead_somewhere, {"docs/a.md": "[b](../../b.md)", "b.md": ""}, ["docs/a.md:1"]),
    (tidy.links_lead_somewhere, {"a.md": "[b](b.md#three)", "b.md": PAGE}, ["a.md:1"]),
    (tidy.links_lead_somewhere, {"a.md": "[b](b.md#no-heading)", "b.md": PAGE}, ["a.md:1"]),
    (tidy.links_lead_somewhere, {"a.md": "See [b].\n\n[b]: gone.md\n"}, ["a.md:3"]),
    (tidy.named_files_are_there, {"a.md": "`src/a.cpp`, `src/`, `src/<x>`", "src/a.cpp": ""}, []),
    (tidy.named_files_are_there, {"a.md": "`src/b.cpp`", "src/a.cpp": ""}, ["a.md:1"]),
)

CASES = (*COLUMNS_AND_LENGTHS, *FLOORS_AND_LIBRARIES, *COROUTINES, *FILES, *DOCUMENTS)


def main():
    failed = 0
    for rule, texts, expected in CASES:
        found = [f"{path}:{line}" for path, line, _ in rule(tidy.Tree(texts))]
        if found != expected:
            failed += 1
            print(f"{rule.__name__} finds {found}, not {expected}, in\n{texts}")
    for rule in tidy.RULES:
        if not any(case[0] is rule and case[2] for case in CASES):
            failed += 1
            print(f"{rule.__name__}: nothing shows that it can fail")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
