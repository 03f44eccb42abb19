"""What the benchmark does with numbers, without measuring any: merging, comparing, judging,
reporting."""

import copy
import subprocess
import sys
import unittest

import compare
import figures
import profile_tunnel
import report
import targets


def result(ratio, least=None, most=None):
    """A result in which bulk at 1 stream went through the tunnel at `ratio` of direct."""
    values = [least or ratio, ratio, most or ratio]
    shape = {"title": "bulk down, 1 stream", "kind": "tcp", "percentiles": {},
             "cost": {"tunnel": {"cpu_s_per_gb": {"values": [1.0] * 3, **figures.spread([1.0])},
                                 "switches": figures.spread([10.0])}},
             "figures": {"gb_per_s": {"more_is_better": True, "ways": {
                 "direct": {"values": [1.0] * 3, **figures.spread([1.0])},
                 "tunnel": {"values": values, **figures.spread(values),
                            "ratio": figures.spread(values)}}}}}
    return {"date": "2026-01-01", "revision": "abc", "rounds": 3, "skipped": {"bore": "no bore"},
            "machine": {"kernel": "6.18", "cpu": "x", "cores": 2, "load_at_start": 0.1,
                        "others": figures.spread([0.01])},
            "ways": {n: {"title": n, "version": "1", "settings": "<plain>"}
                     for n in ("direct", "tunnel")},
            "memory": {"tunnel": [{"kind": "tcp", "idle": 1000, "kb_per_idle": 3.0,
                                   "start": {"pss": 5.0, "rss": 9.0},
                                   "with_idle": {"pss": 8.0, "rss": 12.0}}]},
            "system_calls": {"tool": "perf", "bulk-down-x1": 1.5},
            "shapes": {"bulk-down-x1": shape}}


class Layers(unittest.TestCase):
    FLOORS = {"warm_pool": "pool", "exchange": "tunnel"}

    def test_a_symbol_belongs_to_its_floor(self):
        for dso, symbol, layer in (
                ("tunnel-uring", "[.] tunnel_uring::warm_pool::acquire(int)", "ours: pool"),
                ("tunnel-uring", "[.] _io_uring_get_cqe",
                 "ours: other (liburing, llhttp, inlined std)"),
                ("libc.so.6", "[.] malloc", "library: libc"),
                ("[kernel.kallsyms]", "[k] tcp_sendmsg_locked", "kernel: network"),
                ("[kernel.kallsyms]", "[k] copy_user_generic", "kernel: copying"),
                ("[kernel.kallsyms]", "[k] io_submit_sqes", "kernel: io_uring"),
                ("[kernel.kallsyms]", "[k] something_else", "kernel: other")):
            self.assertEqual(profile_tunnel.layer(dso, symbol, self.FLOORS), layer)

    def test_the_headers_tell_the_floors(self):
        floors = profile_tunnel.floors_of_classes()
        self.assertEqual(floors["exchange"], "tunnel")
        self.assertEqual(floors["io_context"], "ring")


class Figures(unittest.TestCase):
    def test_a_bucket_is_within_a_hundredth_of_what_fell_into_it(self):
        for value, bucket in ((0, 0), (255, 255), (256, 256), (1000, 506)):
            middle = figures.middle_us(bucket) * 1e3
            self.assertLessEqual(abs(middle - value), max(0.01 * value, 1), (value, bucket))

    def test_percentiles_come_from_all_rounds_together(self):
        merged = figures.merge([[[10, 90]], [[10, 9], [200, 1]]])
        self.assertEqual(figures.percentiles(merged, (0.5, 0.99)), [(0.5, 0.01), (0.99, 0.01)])

    def test_a_share_that_so_few_values_cannot_tell_is_left_out(self):
        self.assertEqual(figures.percentiles({10: 50}, (0.5, 0.999)), [(0.5, 0.01)])

    def test_ratios_are_taken_within_a_round_and_skip_what_is_missing(self):
        self.assertEqual(figures.ratios([2, None, 9], [1, 1, 3]),
                         {"min": 2, "median": 2.5, "max": 3})


class Comparing(unittest.TestCase):
    def worse(self, new, old, bound=0.1):
        return compare.compare(new, old, bound, ("tunnel",), lambda line: None)

    def test_a_fall_beyond_the_bound_is_a_regression(self):
        self.assertEqual(len(self.worse(result(0.8), result(1.0))), 1)

    def test_a_rise_or_a_fall_within_the_bound_is_none(self):
        self.assertEqual(self.worse(result(1.2), result(1.0)), [])
        self.assertEqual(self.worse(result(0.95), result(1.0)), [])

    def test_a_fall_within_what_the_old_rounds_saw_is_none(self):
        self.assertEqual(self.worse(result(0.8), result(1.0, least=0.7)), [])

    def test_where_less_is_better_more_is_a_regression(self):
        new, old = result(1.3), result(1.0)
        for one in (new, old):
            one["shapes"]["bulk-down-x1"]["figures"]["gb_per_s"]["more_is_better"] = False
        self.assertEqual(len(self.worse(new, old)), 1)
        self.assertEqual(self.worse(old, new), [])

    def test_what_only_one_of_them_has_is_left_out(self):
        old = copy.deepcopy(result(1.0))
        old["shapes"].clear()
        self.assertEqual(self.worse(result(0.1), old), [])


class Reporting(unittest.TestCase):
    def verdicts(self, one):
        return {t.title: verdict for t, _, verdict in targets.judge(one)}

    def test_each_target_is_reached_missed_or_not_measured(self):
        verdicts = self.verdicts(result(0.95))
        self.assertEqual(verdicts["bulk down, 1 stream, × direct"], "reached")
        self.assertEqual(verdicts["bulk down, 8 streams, × direct"], "not measured")
        self.assertEqual(verdicts["memory (PSS) at start, MB"], "reached, stretch too")
        self.assertEqual(self.verdicts(result(0.5))["bulk down, 1 stream, × direct"], "missed")

    def test_the_page_needs_nothing_else_and_escapes_what_it_shows(self):
        page = report.page(result(0.9))
        self.assertIn("<svg", page)
        self.assertIn("&lt;plain&gt;", page)
        self.assertNotIn("http", page)
        self.assertIn("skipped: no bore", page)

    def test_what_failed_is_told_with_its_reason_and_leaves_the_rest_alone(self):
        one = result(0.9)
        one["shapes"]["bulk-down-x1"]["figures"]["gb_per_s"]["ways"]["bore"] = {
            "values": [None] * 3, "failures": ["load bulk --port 7: no progress"] * 3}
        one["ways"]["bore"] = {"title": "bore", "version": "1", "settings": ""}
        self.assertIn("| bore | 3 of 3 | load bulk: no progress |", report.markdown(one))
        self.assertIn("0.90 (0.90 - 0.90)", report.page(one))

    def test_the_tables_hold_figures_costs_memory_and_calls(self):
        text = report.markdown(result(0.9))
        for words in ("0.90 (0.90 - 0.90)", "1 s/GB", "| 3.0 |", "1.5", "reached"):
            self.assertIn(words, text)


class CommandLine(unittest.TestCase):
    def test_a_mistake_ends_with_2(self):
        done = subprocess.run([sys.executable, report.__file__.replace("report", "run"), "--nope"],
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
