"""A soak of `tamis serve`: payments and API calls for so many minutes; memory, file handles and latency each minute.

    python3 tests/soak/soak.py target/release/tamis target/plugins 30

Rules: payment-direct-fraud, card-testing, psp-error-rate, payments-by-currency, and two expressions, one of which counts
by customer over a minute. No join: it would remember every payment for 48 hours, and memory would grow as it must.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PLUGINS = ["payment-direct-fraud", "card-testing", "psp-error-rate", "payments-by-currency", "expression"]
EVENTS_PER_SECOND = 2_000
TURNS_PER_SECOND = 20
CUSTOMERS = 20_000
COUNTRIES = ["NG", "RU", "KP", "IR", "UA", "VN"]
CONFIG = """
[rules.large-declined]
plugin = "expression"
config = { condition = "amount > 300 && status == 'failed'" }

[rules.busy]
plugin = "expression"
config = { condition = "n > 20", key = "customer_id", counts = { n = { window_ms = 60000 } } }
"""


class Host:
    """A host that serves a home of its own."""

    def __init__(self, tamis, plugins):
        self.home = tempfile.mkdtemp(prefix="tamis-soak-")
        os.makedirs(f"{self.home}/plugins")
        os.makedirs(f"{self.home}/topics/payments/0")
        for name in PLUGINS:
            shutil.copy(f"{plugins}/{name}.wasm", f"{self.home}/plugins/")
        with open(f"{self.home}/tamis.toml", "w") as config:
            config.write(CONFIG)
        command = [tamis, "--home", self.home, "--json", "serve", "--listen", "127.0.0.1:0"]
        environment = dict(os.environ, TAMIS_PEPPER="soak")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        said = json.loads(self.process.stdout.readline())
        self.url, self.token = said["url"], said["token"]

    def ask(self, method, path, body=None, tag=None):
        """The body and the tag of an answer; any error is one of the soak."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if tag:
            headers["If-Match"] = tag
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", method=method, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null"), answer.headers.get("ETag")

    def state(self):
        """Resident MiB, file handles, threads."""
        folder = f"/proc/{self.process.pid}"
        with open(f"{folder}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return int(fields["VmRSS"].split()[0]) // 1024, len(os.listdir(f"{folder}/fd")), int(fields["Threads"])


def feed(host, until):
    """Appends payments with the time of day, each a record line."""
    dice, offset = random.Random(1), 0
    with open(f"{host.home}/topics/payments/0/{0:020}.jsonl", "ab", buffering=0) as topic:
        while time.time() < until:
            began, lines = time.time(), []
            for _ in range(EVENTS_PER_SECOND // TURNS_PER_SECOND):
                customer = f"c{dice.randrange(CUSTOMERS)}"
                payment = {
                    "payment_id": f"p{offset}", "order_id": f"o{offset}", "customer_id": customer,
                    "session_id": f"s{offset // 3}", "amount": round(dice.uniform(5, 900), 2),
                    "currency": dice.choice(["EUR", "GBP", "CHF"]), "method": "card",
                    "status": "failed" if dice.random() < 0.05 else "succeeded",
                    "psp": dice.choice("abc"), "risk_score": dice.randrange(72), "ip_country": "FR",
                }
                record = {"offset": offset, "timestamp": int(time.time() * 1000), "key": customer, "value": payment}
                lines.append(json.dumps(record, separators=(",", ":")) + "\n")
                offset += 1
            topic.write("".join(lines).encode())
            time.sleep(max(0, 1 / TURNS_PER_SECOND - (time.time() - began)))


def look(host, until, latencies_ms):
    """Six questions a second, and every half minute a list that rules compare with changes."""
    turns = 0
    while time.time() < until:
        for path in ["/rules", "/rules/card-testing/stats", "/alerts?limit=20"]:
            began = time.time()
            host.ask("GET", path)
            latencies_ms.append((time.time() - began) * 1000)
        turns += 1
        if turns % 60 == 0:
            values = COUNTRIES + (["BY"] if turns % 120 else [])
            _, tag = host.ask("GET", "/lists/high_risk_countries")
            host.ask("PUT", "/lists/high_risk_countries", {"values": values, "why": "soak"}, tag)
        time.sleep(0.5)


def main():
    tamis, plugins, minutes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    host = Host(tamis, plugins)
    began, latencies_ms = time.time(), []
    until = began + minutes * 60
    for work in [threading.Thread(target=feed, args=(host, until), daemon=True),
                 threading.Thread(target=look, args=(host, until, latencies_ms), daemon=True)]:
        work.start()
    print("minute resident_mib handles threads events api_ms_p50 api_ms_p99", flush=True)
    for minute in range(1, minutes + 1):
        time.sleep(max(0, began + minute * 60 - 0.5 - time.time()))
        events = host.ask("GET", "/rules/payment-direct-fraud/stats")[0]["active"]["events"]
        last = sorted(latencies_ms[-300:])
        p50, p99 = last[len(last) // 2], last[int(len(last) * 0.99)]
        print(minute, *host.state(), events, f"{p50:.1f} {p99:.1f}", flush=True)
    host.process.terminate()
    ended = time.time()
    print(f"ended with {host.process.wait()} after {time.time() - ended:.2f} s")
    shutil.rmtree(host.home)


if __name__ == "__main__":
    main()
