"""The command `http`: what it prints, which name it gets, and what it says of trouble."""

import re
import unittest

import harness
import http_client
import http_peers
from harness import LOOPBACK, eventually
from http_scenario import HttpScenario

USAGE, CONFIG, REFUSED = 2, 3, 5


@harness.through_the_tunnel
class Command(HttpScenario):
    def test_the_url_is_all_of_stdout_when_only_that_is_asked_for(self):
        app = self.site()
        self.assertEqual(app.url, f"http://app.localhost:{self.relay_process.http_port}")
        self.assertEqual(http_client.ask(app).body, b"hello\n")
        self.assertEqual(app.text(), app.url + "\n")

    def test_the_url_comes_first_and_what_follows_does_not_hide_it(self):
        relay = self.relay(http=True)
        port = self.serve("site", program="http_peers.py").port
        agent = self.start_ours("http", "http", port, "--relay", f"{LOOPBACK}:{relay.port}",
                                "--token-file", self.token().path, "--subdomain", "app")
        agent.wait_match(rf"http://app\.localhost:{relay.http_port}")
        self._keep_http(agent, relay, 1)
        self.assertIn(f"http://app.localhost:{relay.http_port}", agent.text().splitlines()[0])

    def test_a_target_may_be_a_port_a_host_a_url_or_a_socket(self):
        peer = self.serve("site", program="http_peers.py")
        relay = self.relay(http=True)
        for number, target in enumerate((peer.port, f"{LOOPBACK}:{peer.port}",
                                         f"localhost:{peer.port}",
                                         f"http://{LOOPBACK}:{peer.port}")):
            with self.subTest(target=target):
                app = self.http(relay, target, subdomain=f"app-{number}")
                self.assertEqual(http_client.ask(app).body, b"hello\n")

    def test_a_name_made_up_is_the_same_after_every_restart_and_for_nothing_else(self):
        relay = self.relay(http=True, tokens=("laptop", "server"))
        ports = [self.serve("site", program="http_peers.py").port for _ in range(2)]
        urls = []
        for port, token in ((ports[0], "laptop"), (ports[0], "laptop"), (ports[1], "laptop"),
                            (ports[0], "server")):
            app = self.http(relay, f"{LOOPBACK}:{port}", subdomain=None, token=token)
            self.assertEqual(http_client.ask(app).body, b"hello\n")
            urls.append(app.url)
            self.gone(app)
        self.assertEqual(urls[0], urls[1])
        self.assertEqual(len(set(urls)), 3, urls)
        for url in urls:
            self.assertRegex(url, r"^http://[a-z0-9-]+\.localhost:\d+$")

    def test_a_made_up_name_is_the_same_at_the_relays_successor(self):
        port = self.serve("site", program="http_peers.py").port
        urls = []
        for _ in range(2):
            relay = self.relay(http=True)
            app = self.http(relay, f"{LOOPBACK}:{port}", subdomain=None)
            urls.append(re.sub(r":\d+$", "", app.url))
        self.assertEqual(urls[0], urls[1])

    def test_a_name_of_another_agent_is_refused(self):
        relay = self.relay(http=True, tokens=("laptop", "server"))
        port = self.serve("site", program="http_peers.py").port
        app = self.http(relay, str(port))
        self.expect_refusal(self.start_http(relay, port, token="server"), REFUSED, "app.localhost")
        self.assertEqual(http_client.ask(app).status, 200)

    def test_a_name_that_the_token_may_not_have_is_refused(self):
        relay = self.relay(http=True, grants={
            "laptop": 'subdomains = ["app", "app-*"]', "server": 'hostnames = ["*.example.com"]'})
        port = self.serve("site", program="http_peers.py").port
        for name in ("other", "apple", "app.app"):
            with self.subTest(name=name):
                agent = self.start_http(relay, port, subdomain=name)
                code = agent.wait()
                self.assertIn(code, (REFUSED, USAGE, CONFIG) if "." in name else (REFUSED,))
                self.assertIn(name, agent.text("err"))
        for name in ("app", "app-7"):
            self.assertEqual(http_client.ask(self.http(relay, str(port), subdomain=name)).status,
                             200)
        for name, token in (("www.example.com", "laptop"), ("www.example.org", "server"),
                            ("example.com", "server")):
            with self.subTest(hostname=name, token=token):
                agent = self.start_http(relay, port, "--hostname", name, subdomain=None,
                                        token=token)
                self.expect_refusal(agent, REFUSED, name)
        agent = self.http(relay, str(port), "--hostname", "www.example.com", subdomain=None,
                          token="server")
        self.assertIn("www.example.com", agent.url)
        self.assertEqual(http_client.ask(agent, host="www.example.com").status, 200)

    def test_a_name_that_is_none_is_refused_before_anything_starts(self):
        relay = self.relay(http=True)
        for name in ("a b", "-app", "ä", "x" * 64, "app_1/", "*"):
            with self.subTest(name=name):
                agent = self.start_http(relay, "1", subdomain=name)
                self.assertIn(agent.wait(), (USAGE, CONFIG), agent.text("err"))
                self.assertTrue(agent.text("err").strip())

    def test_a_relay_without_http_says_so(self):
        relay = self.relay()
        self.expect_refusal(self.start_http(relay, "1"), REFUSED, "http")

    def test_an_upstream_that_is_down_is_told_and_the_url_printed_all_the_same(self):
        port = harness.free_port()
        app = self.expose(str(port))
        eventually(lambda: str(port) in app.text("err"), "a word about the upstream")
        self.assertEqual(http_client.ask(app).status, 502)

    def test_several_services_of_a_file_each_print_their_url(self):
        relay = self.relay(http=True)
        upstream = f'upstream = "{LOOPBACK}:{self.serve("site", program="http_peers.py").port}"'
        agent = self.agent(relay, {"web": f'{upstream}\nsubdomain = "app"', "other": upstream},
                           kind="http")
        self.assertEqual(agent.sites["web"].url, f"http://app.localhost:{relay.http_port}")
        for site in agent.sites.values():
            self.assertEqual(http_client.ask(site).body, b"hello\n")


@harness.through_the_tunnel
class DevelopmentServers(HttpScenario):
    """Many refuse a Host that they don't know: the agent says what helps."""

    REFUSALS = {
        "Vite": (403, "Blocked request. This host (\"app.localhost\") is not allowed.\nTo "
                      "allow this host, add it to `server.allowedHosts` in vite.config.js."),
        "Django": (400, "<title>DisallowedHost at /</title><pre>Invalid HTTP_HOST header: "
                        "'app.localhost'. You may need to add 'app.localhost' to ALLOWED_HOSTS."),
        "Rails": (403, "<h1>Blocked hosts: app.localhost</h1><p>To allow requests to these hosts, "
                       "make sure they are valid hostnames, then add config.hosts << ..."),
        "webpack": (403, "Invalid Host header"),
    }

    def answer(self, status, text):
        async def respond(request, writer, peer):
            if request["host"].startswith("app.localhost"):
                writer.write(http_peers.whole(text.encode(), status))
            else:
                writer.write(http_peers.whole(b"welcome"))
        return respond

    def test_their_refusal_reaches_the_visitor_and_the_remedy_the_terminal(self):
        for name, (status, text) in self.REFUSALS.items():
            with self.subTest(server=name):
                _, app = self.expose_peer(self.answer(status, text))
                answer = http_client.ask(app)
                self.assertEqual((answer.status, answer.body.decode()), (status, text))
                eventually(lambda app=app: "--host-header" in app.text("err"), "the remedy")
                self.assertEqual(app.text("err").count("--host-header"), 1)
                again = self.http(self.relay_process, app.argv[2], "--host-header", "upstream",
                                  subdomain="other")
                self.assertEqual(http_client.ask(again).body, b"welcome")

    def test_another_refusal_is_no_reason_for_advice(self):
        _, app = self.expose_peer(self.answer(403, "You are not allowed to see this."))
        for _ in range(3):
            self.assertEqual(http_client.ask(app).status, 403)
        self.assertNotIn("--host-header", app.text("err"))


if __name__ == "__main__":
    unittest.main()
