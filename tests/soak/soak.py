"""A soak of `tamis serve`: payments and API calls for so many minutes; memory, file handles and latency each minute.

    python3 tests/soak/soak.py target/release/tamis target/plugins 30

It ends with 1, and says why, when payments or API calls fail, when payments are not judged, when in the last third memory grew or
handles were left open, and when the host does not end in order.

Rules: payment-direct-fraud, card-testing, psp-error-rate, payments-by-currency, and two expressions, one of which counts
by customer over a minute. No join: it would remember every payment for 48 hours, and memory would grow as it must.
"""

import argparse
import json
import os
import random
import shutil
import statistics
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
# Of handles some come and go with each checkpoint.
HANDLES_MORE_MAX = 8
JUDGED_PERCENT_MIN = 95
END_SECONDS_MAX = 10
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


class Work(threading.Thread):
    """Something that goes on beside the rest; what it fails with is kept."""

    def __init__(self, work, *arguments):
        super().__init__(daemon=True)
        self.work, self.arguments, self.failure = work, arguments, None

    def run(self):
        try:
            self.work(*self.arguments)
        except BaseException as failure:
            self.failure = failure

    def check(self):
        """Fails unless it goes on."""
        if self.failure is not None or not self.is_alive():
            raise RuntimeError(f"{self.work.__name__} has ended") from self.failure


def feed(host, until, fed):
    """Appends payments with the time of day, each a record line; `fed` says how many."""
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
            fed[0] = offset
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


def watch(host, until, arguments):
    """What is wrong with so many minutes of work."""
    fed, latencies_ms, states = [0], [], []
    works = [Work(feed, host, until, fed), Work(look, host, until, latencies_ms)]
    for work in works:
        work.start()
    events, began = 0, time.time()
    print("sample resident_mib handles threads events api_ms_p50 api_ms_p99", flush=True)
    for sample in range(1, round((until - began) / arguments.sample_seconds) + 1):
        time.sleep(max(0, began + sample * arguments.sample_seconds - 0.5 - time.time()))
        for work in works:
            work.check()
        # What was fed two seconds ago.
        due, before = fed[0] - 2 * EVENTS_PER_SECOND, events
        events = host.ask("GET", "/rules/payment-direct-fraud/stats")[0]["active"]["events"]
        if events <= before or events < due * JUDGED_PERCENT_MIN / 100:
            return [f"{events} events were judged, {before} before, {due} were due"]
        states.append(host.state())
        last = sorted(latencies_ms[-300:])
        p50, p99 = last[len(last) // 2], last[int(len(last) * 0.99)]
        print(sample, *states[-1], events, f"{p50:.1f} {p99:.1f}", flush=True)
    return growth(states, arguments.growth_percent_max)


def growth(states, percent_max):
    """What the last third of the samples has more than the one before."""
    third = len(states) // 3
    middle, last = states[-2 * third:-third], states[-third:]
    before, after = (statistics.mean(resident for resident, _, _ in part) for part in (middle, last))
    wrong = []
    if after > before * (1 + percent_max / 100):
        wrong.append(f"memory grew from {before:.0f} to {after:.0f} MiB")
    before, after = (max(handles for _, handles, _ in part) for part in (middle, last))
    if after > before + HANDLES_MORE_MAX:
        wrong.append(f"file handles grew from {before} to {after}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tamis")
    parser.add_argument("plugins")
    parser.add_argument("minutes", type=float)
    parser.add_argument("--sample-seconds", type=float, default=60)
    parser.add_argument("--growth-percent-max", type=float, default=10,
                        help="of memory, in the last third; a short run is still warming up")
    arguments = parser.parse_args()
    if arguments.minutes * 60 < 3 * arguments.sample_seconds:
        parser.error("three samples are needed at least")
    host = Host(arguments.tamis, arguments.plugins)
    try:
        wrong = watch(host, time.time() + arguments.minutes * 60, arguments)
    except Exception as failure:
        wrong = [f"{failure!r}, because of {failure.__cause__!r}"]
    ended = time.time()
    host.process.terminate()
    try:
        code, took = host.process.wait(timeout=6 * END_SECONDS_MAX), time.time() - ended
    except subprocess.TimeoutExpired:
        host.process.kill()
        code, took = host.process.wait(), time.time() - ended
    print(f"ended with {code} after {took:.2f} s")
    if code != 0 or took > END_SECONDS_MAX:
        wrong.append(f"it ended with {code} after {took:.2f} s")
    for what in wrong:
        print(f"wrong: {what}")
    if wrong:
        print(f"the home is kept: {host.home}")
        sys.exit(1)
    shutil.rmtree(host.home)


if __name__ == "__main__":
    main()
