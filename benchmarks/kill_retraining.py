"""kill -9 at random moments of `rasd retrain` and `rasd models`, while a service follows.

    python benchmarks/kill_retraining.py [--moments 30]

Two thirds of the moments are spread over a retraining, a sixth over its end, when the report is
written and the challenger is added and promoted, and a sixth over `rasd models promote`. After each
one, `rasd models verify` must accept the registry and the service must answer. Every request all
along must succeed. Exit code 1 otherwise.
"""

import argparse
import http.client
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import clients
import yaml

ROOT = Path(__file__).parents[1]
RASD = Path(sys.executable).with_name("rasd")
SENTENCES = ROOT / "data" / "authored.jsonl"
PORT = 8442
BODY = json.dumps({"sentences": ["نفت الوزارة وقوع الهجوم.", "وتبنت الجماعة الهجوم."]}).encode()
# How far a retraining is, by what is there; the last that is there counts.
STAGES = (
    ("sentences", "sentences written"),
    ("champion", "champion restored"),
    ("challenger/trainer/checkpoint-*", "training"),
    ("challenger/checkpoint", "exporting"),
    ("challenger/bundle", "comparing"),
    ("report", "adding and promoting"),
)


class Asking(threading.Thread):
    """A client that asks all the time, and what it was answered."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.codes: Counter[int] = Counter()
        self.models: Counter[str] = Counter()
        self.longest = 0.0
        self._end = threading.Event()

    def run(self) -> None:
        """Ask until `stop`; 0 is the code of no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        headers = {"Content-Type": "application/json"}
        while not self._end.wait(0.02):
            started = time.monotonic()
            try:
                connection.request("POST", "/v1/classify", BODY, headers)
                response = connection.getresponse()
                model, code = json.loads(response.read())["model"], response.status
            except (OSError, ValueError, KeyError, http.client.HTTPException):
                connection.close()
                model, code = "none", 0
            self.longest = max(self.longest, time.monotonic() - started)
            self.models[model] += 1
            self.codes[code] += 1

    def stop(self) -> None:
        """Return when the last request has its answer."""
        self._end.set()
        self.join()


class Trial:
    """A registry, the commands on it, and what was found after each kill."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.registry = folder / "registry"
        self.asking = Asking()
        self.dice = random.Random(seed)
        self.wrong: list[str] = []
        self.killed: Counter[str] = Counter()
        self._folder = folder
        self._runs = 0

    def rasd(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start a command."""
        return subprocess.Popen(
            [RASD, *map(str, arguments), "--registry", self.registry],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def done(self, *arguments: object) -> float:
        """Run a command to its end, which must be good; return its seconds."""
        started = time.monotonic()
        process = self.rasd(*arguments)
        output, _ = process.communicate()
        if process.returncode:
            sys.exit(f"rasd {' '.join(map(str, arguments))}\n{output}")
        return time.monotonic() - started

    def new_retraining(self) -> tuple[list[object], Path]:
        """Return the command of a retraining that was not there before, and its output folder."""
        self._runs += 1
        config = self._folder / f"retrain-{self._runs}.yaml"
        config.write_text(small_config(seed=self._runs), encoding="utf-8")
        arguments = ["retrain", self._folder / "labelled.jsonl", "--quick", "--config", config]
        return arguments, self._folder / f"work-{self._runs}"

    def kill(self, process: "subprocess.Popen[str]", after: float, output: Path | None) -> None:
        """Kill a command after so many seconds; check the registry and the service."""
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        stage = stage_of(output) if output else "rasd models promote"
        if process.returncode != -signal.SIGKILL:
            stage = f"{stage} (over before the kill)"
        self.killed[stage] += 1
        answered = self.asking.codes[200]
        verify = self.rasd("models", "verify")
        said, _ = verify.communicate()
        print(f"killed: {stage}; verify: {said.strip().splitlines()[-1]}", flush=True)
        if verify.returncode:
            self.wrong.append(f"{stage}: verify: {said}")
        end = time.monotonic() + 60
        while self.asking.codes[200] == answered and time.monotonic() < end:
            time.sleep(0.05)
        if self.asking.codes[200] == answered:
            self.wrong.append(f"{stage}: the service does not answer")


def main() -> None:
    """Run all moments and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=30, metavar="N", help="6 or more")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), options.seed)
        write_labelled(Path(folder) / "labelled.jsonl")
        trial.done("models", "add", "fast", "--name", "first")
        trial.done("models", "promote", "first")
        serve = ("serve", "--port", PORT, "--threads", 1, "--workers", 1)
        command = (RASD, *serve, "--registry", trial.registry)
        with clients.server(*command, ready="/readyz", port=PORT):
            trial.asking.start()
            try:
                run(trial, options.moments)
            finally:
                trial.asking.stop()
    told(trial)
    sys.exit(bool(trial.wrong))


def run(trial: Trial, moments: int) -> None:
    """Kill at every moment, and let the last retraining that was killed come to its end."""
    few = max(1, moments // 6)
    arguments, output = trial.new_retraining()
    process, started = trial.rasd(*arguments), time.monotonic()
    reported = seconds_until_report(process, output)
    ended = time.monotonic() - started
    if process.returncode:
        sys.exit("the retraining that nobody killed was not promoted")
    print(f"not killed: {ended:.1f} s, of which {ended - reported:.1f} s after the report")
    promotion = trial.done("models", "rollback")
    second = next(p.name for p in (trial.registry / "versions").iterdir() if p.name != "first")

    spread = moments - 2 * few
    for number in range(spread):
        arguments, output = trial.new_retraining()
        share = (number + trial.dice.random()) / spread
        trial.kill(trial.rasd(*arguments), share * ended, output)
    for _ in range(few):
        arguments, output = trial.new_retraining()
        process = trial.rasd(*arguments)
        while process.poll() is None and not list(output.glob("*/report")):
            time.sleep(0.02)
        trial.kill(process, trial.dice.random() * (ended - reported), output)
    for number in range(few):
        name = ("first", second)[number % 2]
        process = trial.rasd("models", "promote", name)
        trial.kill(process, trial.dice.random() * promotion, None)

    trial.done("models", "promote", "first")
    arguments, output = trial.new_retraining()
    trial.kill(trial.rasd(*arguments), ended / 2, output)
    trial.done(*arguments)  # the same command continues, and its challenger is promoted
    trial.done("models", "verify")


def seconds_until_report(process: "subprocess.Popen[str]", output: Path) -> float:
    """Wait for the end of a retraining; return after how many seconds its report was there."""
    started, reported = time.monotonic(), 0.0
    while process.poll() is None:
        if not reported and list(output.glob("*/report")):
            reported = time.monotonic() - started
        time.sleep(0.02)
    return reported


def stage_of(output: Path) -> str:
    """Return how far a retraining came."""
    found = [name for sign, name in STAGES if list(output.glob(f"*/{sign}"))]
    return found[-1] if found else "reading"


def small_config(seed: int) -> str:
    """Return a configuration of a short training whose challenger passes the gate."""
    config = yaml.safe_load((ROOT / "configs" / "retrain.yaml").read_text(encoding="utf-8"))
    config |= {"base": ["labelled.jsonl"], "behaviour": None, "output": f"work-{seed}"}
    config["quick"]["replay"] = 0
    # Hardly another model: what is tested is how the command ends.
    config["quick"]["optimisation"] |= {
        "epochs": 4,
        "learning_rate": 1e-5,
        "batch_size": 8,
        "checkpoint_steps": 2,
        "seed": seed,
    }
    wide = dict.fromkeys(("max_macro_f1_drop", "max_recall_drop", "max_ece_rise"), 1.0)
    config["gate"] |= {**wide, "max_recall_drop_by_label": {}, "max_slowdown": 100}
    config["gate"]["min_new_sentences"] = 1000
    return yaml.safe_dump(config)


def write_labelled(path: Path) -> None:
    """Write 100 labelled sentences."""
    lines = SENTENCES.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[::50][:100]), encoding="utf-8")


def told(trial: Trial) -> None:
    """Print the summary."""
    print("\nkilled at:")
    for stage, count in trial.killed.most_common():
        print(f"  {count:3}  {stage}")
    asking = trial.asking
    moments = sum(trial.killed.values())
    refused = sum("verify" in line for line in trial.wrong)
    failed = sum(n for code, n in asking.codes.items() if code != 200)
    print(
        f"verify accepted the registry {moments - refused} of {moments} times\n"
        f"{sum(asking.codes.values()):,} requests, {failed} failed; the longest took "
        f"{asking.longest:.1f} s; {len(asking.models)} versions answered"
    )
    if failed:
        trial.wrong.append(f"{failed} requests failed")
    for line in trial.wrong:
        print(f"WRONG: {line}")


if __name__ == "__main__":
    main()
