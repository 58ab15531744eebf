"""Speed of the service now, beside an earlier revision of this repository in turns.

    python benchmarks/revisions.py REVISION [--model BUNDLE] [--rounds 6] [--seconds 6]

Both load the same bundle (default: the `fast` of REVISION). One client posts short sentences,
then 1 and 4 clients post articles of 20 sentences. The ratios are of pairs of rounds, in which the
two take turns at being first, so that a machine whose speed changes favours neither.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import clients

ROOT = Path(__file__).parents[1]
RASD = Path(sys.executable).with_name("rasd")
PORT = 8441
ARTICLE = 20
MEASURES = ("one sentence, ms", "1 client, sent./s", "4 clients, sent./s")


def main() -> None:
    """Print a line for every run, and the ratios now / then."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="a commit, branch or tag")
    parser.add_argument("--model", type=Path, metavar="BUNDLE")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measure (default: 6)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        then = Path(folder) / "then"
        git("worktree", "add", "--quiet", "--detach", then, options.revision)
        try:
            model = options.model or then / "serving" / "models" / "fast"
            compare(then, model.resolve(), options.rounds, options.seconds)
        finally:
            git("worktree", "remove", "--force", then)


def compare(then: Path, model: Path, rounds: int, seconds: float) -> None:
    """Measure both in turns and print what was found."""
    found: dict[Path, list[list[float]]] = {then: [], ROOT: []}
    print(f"{'':6}", *(f"{name:>19}" for name in MEASURES))
    for number in range(rounds):
        for tree in (then, ROOT) if number % 2 == 0 else (ROOT, then):
            found[tree].append(measure(tree, model, seconds))
            name = "now" if tree == ROOT else "then"
            print(f"{name:6}", *(f"{value:19.2f}" for value in found[tree][-1]), flush=True)
    for index, name in enumerate(MEASURES):
        pairs = zip(found[ROOT], found[then], strict=True)
        ratios = sorted(now[index] / before[index] for now, before in pairs)
        print(
            f"{name}: now / then {statistics.median(ratios):.3f} "
            f"({ratios[0]:.3f} to {ratios[-1]:.3f})"
        )


def measure(tree: Path, model: Path, seconds: float) -> list[float]:
    """Return the values of MEASURES for the service of a tree."""
    lines = (ROOT / "data" / "authored.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    short = [clients.encoded({"inputs": sorted(texts, key=len)[len(texts) // 10]})]
    groups = clients.articles(texts, ARTICLE, 200)
    bodies = [clients.encoded({"sentences": group}) for group in groups]
    os.environ["PYTHONPATH"] = str(tree)
    words = ("serve", "--port", PORT, "--model", model)
    with clients.server(RASD, *words, ready="/readyz", port=PORT):
        url = f"http://127.0.0.1:{PORT}"
        clients.load(url, "/predict", short, clients=1, seconds=2, timeout=60)
        one = clients.load(url, "/predict", short, clients=1, seconds=seconds, timeout=60)
        values = [1000 * statistics.median(one.seconds[200])]
        for loop in (1, 4):
            outcome = clients.load(
                url, "/v1/classify", bodies, clients=loop, seconds=seconds, timeout=60
            )
            values.append(len(outcome.seconds[200]) * ARTICLE / outcome.wall)
    return values


def git(*arguments: object) -> None:
    """Run git here; raise CalledProcessError if it fails."""
    subprocess.run(["git", *map(str, arguments)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
