"""Load test of the service: overload, memory over a long run, hostile clients, idle, start-up.

    python benchmarks/overload.py [--overload 60] [--mixed 600] [--hostile 600] [--idle 60]

Prints each measurement with its limit; exits with 1 if a limit is exceeded.
"""

import argparse
import json
import random
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import clients
import hostile

ROOT = Path(__file__).parent.parent
RASD = Path(sys.executable).with_name("rasd")
PORT = 8441
URL = f"http://127.0.0.1:{PORT}"
DEADLINE = 30.0
# Seconds that the service keeps an idle connection.
KEEP_ALIVE = 30.0

failed = False


def main() -> None:
    """Run everything against one service after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="0 seconds leave a part out."
    )
    parser.add_argument("--overload", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--mixed", type=float, default=600, metavar="SECONDS")
    parser.add_argument("--hostile", type=float, default=600, metavar="SECONDS")
    parser.add_argument("--idle", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--clients", type=int, default=200)
    options = parser.parse_args()
    lines = (ROOT / "data" / "authored.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    started = time.monotonic()
    with clients.server(RASD, "serve", "--port", PORT, ready="/readyz", port=PORT) as process:
        told("ready after", time.monotonic() - started, 3.0, "s")
        if options.idle:
            idle(process.pid, options.idle)
        if options.overload:
            overload(texts, options.clients, options.overload)
        if options.mixed:
            mixed(process.pid, texts, options.mixed)
        if options.hostile:
            besieged(process.pid, texts, options.hostile)
    sys.exit(failed)


def idle(pid: int, seconds: float) -> None:
    """Measure CPU time and memory of an idle service."""
    before = clients.cpu_seconds(pid)
    time.sleep(seconds)
    told("idle CPU", 100 * (clients.cpu_seconds(pid) - before) / seconds, 1.0, "%")
    told("idle memory (PSS)", clients.pss(pid), 350.0, "MB")


def overload(texts: list[str], number: int, seconds: float) -> None:
    """Send far more requests than may be in flight."""
    bodies = [clients.encoded({"sentences": a}) for a in clients.articles(texts, 20, 200)]
    before = one_client(bodies)
    outcome = clients.load(
        URL, "/v1/classify", bodies, clients=number, seconds=seconds, timeout=DEADLINE + 5
    )
    ended = time.monotonic()
    print(f"{number} clients for {seconds:g} s: {outcome.codes} (0: no answer)")
    odd = sum(count for code, count in outcome.codes.items() if code not in (200, 429, 503))
    told("answers other than 200, 429, 503", odd, 0, "")
    slowest = max(value for values in outcome.seconds.values() for value in values)
    told("slowest answer", slowest, DEADLINE, "s")
    print(f"time since the overload: {time.monotonic() - ended:.1f} s")
    after = one_client(bodies)
    told("p50 after the overload / before", after / before, 1.1, "")


def one_client(bodies: list[bytes]) -> float:
    """Return the median latency of one client's articles, in milliseconds."""
    outcome = clients.load(URL, "/v1/classify", bodies, clients=1, seconds=4, timeout=60)
    return outcome.percentile(0.5)


def mixed(pid: int, texts: list[str], seconds: float) -> None:
    """Send small, large and invalid requests, and measure the memory."""
    order = random.Random(1)
    bodies = []
    for _ in range(300):
        size = order.choice([1, 1, 5, 20, 20, 60, 200])
        chosen = [order.choice(texts) for _ in range(size)]
        kind = order.choice(["sentences", "sentences", "documents", "broken"])
        if kind == "documents":
            bodies.append(clients.encoded({"documents": [{"text": " ".join(chosen)}]}))
        elif kind == "broken":
            bodies.append(b'{"sentences": [1, "' + order.randbytes(2000))
        else:
            bodies.append(clients.encoded({"sentences": chosen}))
    parts = max(2, round(seconds / 60))
    readings = []
    for _ in range(parts):
        clients.load(URL, "/v1/classify", bodies, clients=4, seconds=seconds / parts, timeout=60)
        readings.append(clients.pss(pid))
    print("memory (PSS, MB) during the run:", " ".join(f"{value:.0f}" for value in readings))
    told("memory at the end / after the first part", readings[-1] / readings[0], 1.05, "")


def besieged(pid: int, texts: list[str], seconds: float) -> None:
    """Serve honest clients among hostile ones: in time, in bounded memory, with nothing left."""
    before = sockets(pid)
    attackers = hostile.start(PORT, seconds)
    readings: list[float] = []
    watch = threading.Thread(target=watch_memory, args=(pid, attackers, readings))
    watch.start()
    bodies = [clients.encoded({"sentences": a}) for a in clients.articles(texts, 5, 200)]
    outcome = clients.load(
        URL, "/v1/classify", bodies, clients=2, seconds=seconds, timeout=DEADLINE
    )
    attackers.join()
    watch.join()
    print(f"honest clients among hostile ones: {outcome.codes} (0: no answer)")
    answered = len(outcome.seconds.get(200, []))
    asked = max(1, sum(outcome.codes.values()))
    told("honest requests not answered in time", 100 * (1 - answered / asked), 1.0, "%")
    told("p95 of honest requests", outcome.percentile(0.95) / 1000, DEADLINE, "s")
    told("most memory (PSS)", max(readings), 1024.0, "MB")
    time.sleep(KEEP_ALIVE + 15)
    told("connections left", sockets(pid) - before, 0, "")


def watch_memory(pid: int, attackers: BaseProcess, readings: list[float]) -> None:
    """Read the service's memory until the attackers have ended."""
    while not readings or attackers.is_alive():
        readings.append(clients.pss(pid))
        time.sleep(0.5)


def sockets(pid: int) -> int:
    """Return the open sockets of the HTTP process."""
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found += str(link.readlink()).startswith("socket:")
    return found


def told(what: str, value: float, limit: float, unit: str) -> None:
    """Print a measurement and its limit."""
    global failed  # noqa: PLW0603
    failed |= value > limit
    verdict = "ok" if value <= limit else "TOO MUCH"
    print(f"{what:44}{value:10.2f} {unit:3} (limit {limit:g}) {verdict}", flush=True)


if __name__ == "__main__":
    main()
