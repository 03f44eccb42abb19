"""The commands that look, check and show."""

import json
import pathlib
import subprocess
import unittest

import harness
from harness import LOOPBACK, PATIENCE, Scenario


class Commands(Scenario):
    def run_ours(self, *arguments, timeout=60, env=()):
        return subprocess.run([harness.binary(), *map(str, arguments)],
                              capture_output=True, text=True, check=False,
                              timeout=timeout * PATIENCE, cwd=self.directory,
                              env=harness.environment(self.directory) | dict(env))

    def test_demo_shows_that_every_byte_was_right(self):
        shown = self.run_ours("demo")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("PASS", shown.stdout.splitlines()[-1])

    def test_demo_prints_one_object_for_machines(self):
        shown = self.run_ours("demo", "--json")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIs(json.loads(shown.stdout)["ok"], True)

    def test_check_finds_this_host_able(self):
        shown = self.run_ours("check", "--offline", "--json")
        self.assertEqual(shown.returncode, 0, shown.stdout + shown.stderr)
        self.assertIs(json.loads(shown.stdout)["ok"], True)

    def test_check_refuses_a_wrong_config(self):
        wrong = self.write("wrong.toml", "[agent]\nrelay = 1\n")
        shown = self.run_ours("check", "--offline", "-c", wrong)
        self.assertEqual(shown.returncode, 3, shown.stdout + shown.stderr)
        self.assertIn("relays", shown.stdout + shown.stderr)

    def test_check_prints_a_config_that_it_accepts_again(self):
        whole = self.write("agent.toml", f"""
            [agent]
            relays = ["{LOOPBACK}:1"]
            token_file = "{self.token().path}"
            [[services]]
            name = "db"
            type = "tcp"
            upstream = "{LOOPBACK}:1"
            """)
        printed = self.run_ours("check", "--offline", "--print", "-c", whole)
        self.assertEqual(printed.returncode, 0, printed.stdout + printed.stderr)
        again = self.run_ours("check", "--offline", "--print", "-c",
                              self.write("again.toml", printed.stdout))
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        self.assertEqual(again.stdout, printed.stdout)

    def test_tokens_are_different_each_time_and_named(self):
        made = [json.loads(self.run_ours("token", "--name", "laptop", "--json").stdout)
                for _ in range(2)]
        self.assertEqual([m["name"] for m in made], ["laptop"] * 2)
        self.assertNotEqual(made[0]["token"], made[1]["token"])
        for token in made:
            self.assertRegex(token["token"], r"^tut_\S+$")
            self.assertRegex(token["public_key"], r"^ed25519:\S+$")

    def test_version_and_help_are_on_stdout(self):
        version = self.run_ours("--version")
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout, r"tunnel-uring \d+\.\d+\.\d+")
        for arguments in (["--help"], ["tcp", "--help"], ["relay", "--help"]):
            shown = self.run_ours(*arguments)
            self.assertEqual(shown.returncode, 0)
            self.assertIn("Usage", shown.stdout)

    def test_the_environment_stands_in_for_flags(self):
        relay = self.relay()
        agent = self.start_ours("tcp", "tcp", self.serve("echo").port, "--url-only",
                                env={"TUNNEL_URING_RELAY": f"{LOOPBACK}:{relay.port}",
                                     "TUNNEL_URING_TOKEN": self.token().secret})
        public = int(agent.wait_match(r"^tcp://\S+:(\d+)$")[1])
        self._keep(agent, relay.port)
        self.assertTrue(harness.echo_once(public))

    def test_a_secret_stands_in_no_output_and_on_no_command_line(self):
        relay = self.relay()
        agent = self.tcp(relay, str(self.serve("echo").port), "--set", "log.level=trace")
        self.assertTrue(harness.echo_once(agent.public))
        for process in (relay, agent):
            shown = process.text("out") + process.text("err")
            shown += pathlib.Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8")
            self.assertNotIn(self.token().secret, shown)


if __name__ == "__main__":
    unittest.main()
