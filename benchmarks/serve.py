"""Speed of the service, against the classifier in Python and plain LitServe services.

    python benchmarks/serve.py [--seconds 20] [--rounds 3]

Closed loops of 1, 4 and 16 clients post articles of 20 sentences; one client posts single short
sentences. The plain services follow LitServe's documentation: a LitAPI with ONNX Runtime's defaults
and `max_batch_size=8`, and one with `transformers.pipeline` if a checkpoint of the same model is
given (--checkpoint) and torch is installed. There one request is one sentence, so an article is 20
requests at once. All services get the same cores.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import clients

from serving.classifier import Classifier
from serving.machine import available_cores, cpu_flags

ROOT = Path(__file__).parent.parent
RASD = Path(sys.executable).with_name("rasd")
RECIPES = Path(__file__).with_name("litserve_recipes.py")
ARTICLE = 20
LOOPS = (1, 4, 16)
PORT = 8431


def main() -> None:
    """Print one table per round, and the ratios of its last lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each loop (default: 20)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoint", type=Path, help="for the recipe around transformers")
    options = parser.parse_args()
    lines = (ROOT / "data" / "authored.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    short = sorted(texts, key=len)[len(texts) // 10]
    print(f"{available_cores()} cores; {' '.join(cpu_flags())}; articles of {ARTICLE} sentences")
    for number in range(options.rounds):
        print(f"\nround {number + 1}\n{'':44}{'sent./s':>8}{'p50 ms':>10}{'p95':>10}{'p99':>10}")
        inside = in_process(texts, short, options.seconds)
        ours = service(texts, short, options.seconds)
        recipes = [recipe("onnx", "", texts, options.seconds)]
        if options.checkpoint:
            recipes.append(
                recipe("transformers", options.checkpoint.resolve(), texts, options.seconds)
            )
        print()
        for loop in LOOPS:
            print(f"service / in process, {loop:2} clients: {ours[loop] / inside:.2f}")
            for speeds in recipes:
                print(f"service / recipe,     {loop:2} clients: {ours[loop] / speeds[loop]:.2f}")


def in_process(texts: Sequence[str], short: str, seconds: float) -> float:
    """Return the sentences per second of the classifier, article by article."""
    classifier = Classifier.load()
    outcome = clients.Outcome(seconds={200: []})
    groups = clients.articles(texts, ARTICLE, 200)
    begin = time.perf_counter()
    turn = 0
    while time.perf_counter() < begin + seconds:
        started = time.perf_counter()
        classifier.classify(groups[turn % len(groups)])
        outcome.seconds[200].append(time.perf_counter() - started)
        turn += 1
    outcome.wall = time.perf_counter() - begin
    print(clients.row("in process, articles", ARTICLE, outcome))
    taken = []
    for _ in range(200):
        started = time.perf_counter()
        classifier.classify([short])
        taken.append(time.perf_counter() - started)
    print(f"{'in process, one short sentence':52}{1000 * statistics.median(taken):10.1f}")
    return turn * ARTICLE / outcome.wall


def service(texts: Sequence[str], short: str, seconds: float) -> dict[int, float]:
    """Return the service's sentences per second by number of clients."""
    speeds = {}
    bodies = [
        clients.encoded({"sentences": group}) for group in clients.articles(texts, ARTICLE, 200)
    ]
    with clients.server(RASD, "serve", "--port", PORT, ready="/readyz", port=PORT):
        url = f"http://127.0.0.1:{PORT}"
        for loop in LOOPS:
            outcome = clients.load(
                url, "/v1/classify", bodies, clients=loop, seconds=seconds, timeout=60
            )
            print(clients.row(f"service, {loop} clients", ARTICLE, outcome))
            speeds[loop] = len(outcome.seconds.get(200, [])) * ARTICLE / outcome.wall
        one = [clients.encoded({"inputs": short})]
        outcome = clients.load(url, "/predict", one, clients=1, seconds=seconds, timeout=60)
        print(clients.row("service, one short sentence", 1, outcome))
    return speeds


def recipe(kind: str, model: object, texts: Sequence[str], seconds: float) -> dict[int, float]:
    """Return a recipe's sentences per second by number of concurrent articles."""
    speeds = {}
    bodies = [clients.encoded({"text": text}) for text in texts[: ARTICLE * 50]]
    with clients.server(
        sys.executable, RECIPES, kind, PORT + 1, model, ready="/health", port=PORT + 1
    ):
        for loop in LOOPS:
            outcome = clients.load(
                f"http://127.0.0.1:{PORT + 1}",
                "/predict",
                bodies,
                clients=loop * ARTICLE,
                seconds=seconds,
                timeout=120,
            )
            print(clients.row(f"LitServe around {kind}, {loop} x {ARTICLE} requests", 1, outcome))
            speeds[loop] = len(outcome.seconds.get(200, [])) / outcome.wall
    return speeds


if __name__ == "__main__":
    main()
