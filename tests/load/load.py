"""Figures of `tamis serve` under load. The machine should do nothing else.

    python3 tests/load/load.py latency target/release/tamis target/plugins [--rate 5000] [--seconds 60]
    python3 tests/load/load.py changes target/release/tamis target/plugins [--rate 50000]
    python3 tests/load/load.py decisions target/release/tamis target/plugins [--rate 1000] [--seconds 30]

`latency`: from the append of a payment to its alert in the topic, for every fiftieth payment.
`changes`: a version switched, a plugin uploaded and put to work, ten clients asking; all while payments flow. In the end
every payment that was fed must have been judged.
`decisions`: from when a request for a decision was due to its answer, in connections that are kept. In the end every payment must have
been written and judged once.
"""

import argparse
import asyncio
import glob
import http.client
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time

RULES = ["payment-direct-fraud", "card-testing", "psp-error-rate"]
RISKY_EVERY = 50
CONNECTIONS = 64
UPLOADED = b"payment-direct-fraud"


class Host:
    """A host that serves a home of its own, with the three rules."""

    def __init__(self, arguments):
        self.home = tempfile.mkdtemp(prefix="tamis-load-")
        os.makedirs(f"{self.home}/plugins")
        os.makedirs(f"{self.home}/topics/payments/0")
        for name in RULES:
            shutil.copy(f"{arguments.plugins}/{name}.wasm", f"{self.home}/plugins/")
        command = [arguments.tamis, "--home", self.home, "--json", "serve", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ, TAMIS_PEPPER="load"))
        said = json.loads(self.process.stdout.readline())
        self.address, self.token = said["address"], said["token"]

    def end(self):
        self.process.terminate()
        if self.process.wait(timeout=30) != 0:
            raise RuntimeError("the host did not end in order")
        shutil.rmtree(self.home)


class Client:
    """A connection that is kept."""

    def __init__(self, host):
        self.host, self.connection = host, http.client.HTTPConnection(host.address, timeout=30)

    def ask(self, method, path, body=None, token=None, tag=None, wasm=None):
        headers = {"Authorization": f"Bearer {token or self.host.token}"}
        headers["Content-Type"] = "application/wasm" if wasm else "application/json"
        if tag:
            headers["If-Match"] = tag
        data = wasm if wasm else None if body is None else json.dumps(body)
        self.connection.request(method, f"/api/v1{path}", data, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text or b"null"), answer.headers.get("ETag")


class Feed(threading.Thread):
    """Appends so many payments a second, every `RISKY_EVERY`-th with an alert, or only every thousandth."""

    def __init__(self, host, rate, risky_every):
        super().__init__(daemon=True)
        self.rate, self.risky_every, self.fed, self.ended, self.appended = rate, risky_every, 0, False, {}
        self.path = f"{host.home}/topics/payments/0/{0:020}.jsonl"
        dice = random.Random(2)
        self.rests = [
            ',"customer_id":"c%d","amount":%.2f,"currency":"EUR","method":"card","status":"succeeded","psp":"%s","risk_score":%d,'
            '"ip_country":"FR","order_id":"o%d","card_ref":"card%d","user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:134.0)"}}\n'
            % (dice.randrange(20_000), dice.uniform(5, 900), dice.choice("abc"),
               95 if n % risky_every == 0 else dice.randrange(60), n, n)
            for n in range(20_000)
        ]

    def run(self):
        began = time.perf_counter()
        with open(self.path, "ab", buffering=0) as topic:
            while not self.ended:
                count = min(int((time.perf_counter() - began) * self.rate) - self.fed, 20_000)
                if count > 0:
                    now = int(time.time() * 1000)
                    lines = "".join(
                        '{"offset":%d,"timestamp":%d,"key":"k","value":{"payment_id":"p%d","session_id":"s%d"%s'
                        % (n, now, n, n // 2, self.rests[n % 20_000]) for n in range(self.fed, self.fed + count)
                    )
                    at = time.perf_counter()
                    for n in range(self.fed, self.fed + count):
                        if n % self.risky_every == 0:
                            self.appended[n] = at
                    topic.write(lines.encode())
                    self.fed += count
                time.sleep(0.001)


def spread(values_ms):
    values_ms = sorted(values_ms)
    at = lambda share: values_ms[min(int(len(values_ms) * share), len(values_ms) - 1)]
    return f"p50 {at(0.5):.1f} p99 {at(0.99):.1f} p99.9 {at(0.999):.1f} max {values_ms[-1]:.1f} ms of {len(values_ms)}"


def latency(host, arguments):
    feed = Feed(host, arguments.rate, RISKY_EVERY)
    feed.start()
    until, latencies_ms, rest, alerts = time.time() + arguments.seconds, [], b"", None
    while time.time() < until:
        if alerts is None:
            found = glob.glob(f"{host.home}/topics/alerts_fraud_payments/0/*.jsonl")
            alerts = open(found[0], "rb") if found else None
            time.sleep(0.001)
            continue
        text = alerts.read()
        now = time.perf_counter()
        *lines, rest = (rest + text).split(b"\n")
        for line in lines:
            payment = int(json.loads(line)["value"]["payment_id"][1:])
            # The first second is the start's.
            if payment > arguments.rate:
                latencies_ms.append((now - feed.appended[payment]) * 1000)
        time.sleep(0.0005)
    feed.ended = True
    due = (feed.fed - arguments.rate) // RISKY_EVERY
    print(f"{arguments.rate} events/s: {spread(latencies_ms)} alerts, {due} due")


def changes(host, arguments):
    feed, client = Feed(host, arguments.rate, 1000), Client(host)

    def token(subject, role):
        expires_at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + 86_400))
        wanted = {"name": subject, "subject": subject, "role": role, "expires_at": expires_at}
        return client.ask("POST", "/tokens", wanted)[0]["text"]

    # Whoever makes the tokens of others approves nothing with them.
    host.token, reviewer = token("erin", "engineer"), token("rea", "reviewer")
    feed.start()
    time.sleep(3)

    def activate(rule, version):
        tag = client.ask("GET", f"/rules/{rule}")[1]
        began = time.perf_counter()
        changed = client.ask("PATCH", f"/rules/{rule}", {"mode": "active", "version": version}, tag=tag)[0]
        if not changed["in_effect"]:
            raise RuntimeError(f"{rule} {version}: {changed}")
        return (time.perf_counter() - began) * 1000

    def approve(rule, version):
        client.ask("POST", f"/rules/{rule}/versions/{version}/submit", {})
        client.ask("POST", f"/rules/{rule}/versions/{version}/approve", {}, token=reviewer)

    switches_ms = []
    for n in range(40):
        rule = RULES[n % 2]
        config = {"risk_score_max": 70 + n % 4} if n % 2 == 0 else {"attempts_max": 3 + n % 4}
        version = client.ask("POST", f"/rules/{rule}/versions", {"config": config})[0]["number"]
        approve(rule, version)
        switches_ms.append(activate(rule, version))
    print("PATCH to in effect:", spread(switches_ms))

    with open(f"{arguments.plugins}/{UPLOADED.decode()}.wasm", "rb") as file:
        wasm = file.read()
    uploads_ms, judged_ms = [], []
    for n in range(10):
        name = UPLOADED[:-3] + b"%03d" % n
        began = time.perf_counter()
        client.ask("POST", "/plugins", wasm=wasm.replace(UPLOADED, name))
        uploads_ms.append((time.perf_counter() - began) * 1000)
        rule = name.decode()
        client.ask("POST", "/rules", {"name": rule})
        approve(rule, 1)
        activate(rule, 1)
        judged_ms.append((time.perf_counter() - began) * 1000)
    print("upload of a Rust plugin:", spread(uploads_ms))
    print("upload, create, submit, approve, activate, to in effect:", spread(judged_ms))

    asked_ms = []

    def ask():
        own = Client(host)
        for _ in range(100):
            for path in ["/rules", "/rules/card-testing/stats", "/alerts?limit=20"]:
                began = time.perf_counter()
                own.ask("GET", path)
                asked_ms.append((time.perf_counter() - began) * 1000)

    clients = [threading.Thread(target=ask) for _ in range(10)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    print("10 clients:", spread(asked_ms))
    feed.ended = True
    feed.join()
    time.sleep(3)
    judged = client.ask("GET", "/rules/card-testing/stats")[0]["active"]["events"]
    print(f"{judged} payments judged of {feed.fed} fed")
    if judged != feed.fed:
        raise RuntimeError("payments were lost or judged twice")


async def ask_all(host, arguments, latencies_ms):
    count, due = int(arguments.rate * arguments.seconds), asyncio.Queue()
    address, port = host.address.rsplit(":", 1)

    async def connection():
        reader, writer = await asyncio.open_connection(address, int(port))
        while (asked := await due.get()) is not None:
            n, at = asked
            value = (
                '{"records":[{"value":{"payment_id":"p%d","session_id":"s%d","customer_id":"c%d","amount":%d.50,"currency":"EUR",'
                '"method":"card","status":"succeeded","psp":"a","risk_score":%d,"ip_country":"FR"}}]}'
                % (n, n // 2, n % 20_000, n % 900, 95 if n % RISKY_EVERY == 0 else 10)
            )
            writer.write((
                "POST /api/v1/decisions/payments?timeout_ms=10000 HTTP/1.1\r\nHost: tamis\r\nAuthorization: Bearer %s\r\n"
                "Idempotency-Key: k%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (host.token, n, len(value), value)
            ).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{head} {body}")
            # The first second is the start's.
            if n >= arguments.rate:
                latencies_ms.append((time.perf_counter() - at) * 1000)

    connections = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    for n in range(count):
        at = began + n / arguments.rate
        while (early := at - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        due.put_nowait((n, at))
    for _ in connections:
        due.put_nowait(None)
    await asyncio.gather(*connections)
    return count


def decisions(host, arguments):
    latencies_ms, client = [], Client(host)
    until = time.time() + 60
    while not ready(host) and time.time() < until:
        time.sleep(0.1)
    count = asyncio.run(ask_all(host, arguments, latencies_ms))
    print(f"{arguments.rate} decisions/s: {spread(latencies_ms)}")
    time.sleep(2)
    judged = client.ask("GET", "/rules/card-testing/stats")[0]["active"]["events"]
    with open(f"{host.home}/topics/payments/0/{0:020}.jsonl", "rb") as topic:
        written = topic.read().count(b"\n")
    print(f"{written} payments written and {judged} judged of {count} asked about")
    if (written, judged) != (count, count):
        raise RuntimeError("payments were lost, or written or judged twice")


def ready(host):
    connection = http.client.HTTPConnection(host.address, timeout=30)
    connection.request("GET", "/readyz")
    return connection.getresponse().status == 200


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["latency", "changes", "decisions"])
    parser.add_argument("tamis")
    parser.add_argument("plugins")
    parser.add_argument("--rate", type=int)
    parser.add_argument("--seconds", type=float)
    arguments = parser.parse_args()
    arguments.rate = arguments.rate or {"latency": 5_000, "changes": 50_000, "decisions": 1_000}[arguments.what]
    arguments.seconds = arguments.seconds or (30 if arguments.what == "decisions" else 60)
    host = Host(arguments)
    try:
        {"latency": latency, "changes": changes, "decisions": decisions}[arguments.what](host, arguments)
        host.end()
    finally:
        host.process.kill()


if __name__ == "__main__":
    main()
