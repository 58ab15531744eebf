"""The service's parts that need no process: its configuration, its keys, how many workers."""

import asyncio
import os
import signal
import threading
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serving.errors import InputError
from serving.service import key_watcher
from serving.service.command import crew, listen
from serving.service.config import LimitsConfig, ServeConfig, load_config
from serving.service.feedback_routes import check_label
from serving.service.http_problems import ProblemError
from serving.service.intake import Admission
from serving.service.keys import Keyring, RateLimit, new_key, presented
from serving.service.metrics import Metrics
from serving.service.pool import Pool
from serving.service.retraining_routes import retraining_command
from serving.service.routes import status_router

SHIPPED = Path(__file__).parents[3] / "configs" / "serve.yaml"


def test_the_shipped_file_names_every_key_with_its_default_and_a_comment():
    values = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    assert ServeConfig.model_validate(values) == ServeConfig()
    defaults = ServeConfig().model_dump()
    assert values.keys() == defaults.keys()
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for group in ("limits", "security", "feedback"):
        assert values[group].keys() == defaults[group].keys()
    for before, line in pairwise(lines):
        if line.startswith("  ") and not line.strip().startswith("#"):
            assert before.strip().startswith("#"), line


def refused(tmp_path, text, options=None) -> InputError:
    path = tmp_path / "serve.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_config(path, options or {})
    return caught.value


def test_every_problem_is_told_with_its_line(tmp_path):
    error = refused(tmp_path, "host: 127.0.0.1\nport: 70000\nlimits:\n  sentence: 3\n")
    assert "serve.yaml: line 2: port is 70000" in str(error)
    assert "serve.yaml: line 4: unknown key limits.sentence. Did you mean sentences?" in str(error)


def test_an_option_is_the_place_of_its_own_problem(tmp_path):
    error = refused(tmp_path, "port: 8000\n", {"port": 99999})
    assert error.problem == "--port 99999: port is 99999"


def test_options_win_and_paths_are_relative_to_the_file(tmp_path):
    path = tmp_path / "serve.yaml"
    path.write_text("model: bundle\nport: 9000\nsecurity: {keys_file: keys.txt}\n")
    config = load_config(path, {"port": 9001, "insecure": True, "model": None})
    assert (config.port, config.model) == (9001, tmp_path / "bundle")
    assert config.security.keys_file == tmp_path / "keys.txt"
    assert config.security.insecure
    other = load_config(path, {"registry": Path("registry")})
    assert (other.model, other.registry) == (None, Path("registry"))


@pytest.mark.parametrize("name", ["compact", "arabert", "fast"])
def test_a_training_configuration_is_named_instead_of_its_keys(name):
    path = SHIPPED.with_name(f"{name}.yaml")
    with pytest.raises(InputError) as caught:
        load_config(path, {})
    assert str(caught.value) == (
        f"{path} looks like a training configuration\n"
        "`rasd train` uses it, and `rasd validate` checks it. "
        "`rasd serve` needs one like configs/serve.yaml."
    )


def test_a_retraining_configuration_is_named_too():
    path = SHIPPED.with_name("retrain.yaml")
    with pytest.raises(InputError, match="looks like a retraining configuration\n`rasd retrain "):
        load_config(path, {})


@pytest.mark.parametrize(
    ("workers", "threads", "cores", "expected"),
    [
        (None, None, 1, (1, 1)),
        (None, None, 2, (1, 2)),
        (None, None, 16, (4, 4)),
        (None, 1, 8, (8, 1)),
        (2, None, 8, (2, 4)),
        (4, None, 2, (4, 1)),
        (3, 5, 2, (3, 5)),
    ],
)
def test_workers_and_threads_fit_the_cores(workers, threads, cores, expected):
    assert crew(workers, threads, cores) == expected


def test_keys_are_known_by_their_hash(tmp_path):
    key, line = new_key("desk")
    (tmp_path / "keys").write_text(f"# keys\n\n{line}\n")
    keys = Keyring.load(
        tmp_path / "keys", {"RASD_API_KEYS": "a:0123456789abcdef, b:fedcba9876543210"}
    )
    assert len(keys) == 3
    assert keys.name_of(key) == "desk"
    assert keys.name_of("0123456789abcdef") == "a"
    assert keys.name_of("fedcba9876543210") == "b"
    assert keys.name_of(key[:-1]) is None
    assert keys.name_of("") is None


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([("x-api-key", "ours")], "ours"),
        ([("authorization", "bearer  ours ")], "ours"),
        ([("authorization", "Basic dXNlcjpvdXJz")], "ours"),
        ([("authorization", "Basic dXNlcjpwcm94eQ=="), ("x-api-key", "ours")], "ours"),
        ([("authorization", "Bearer proxy"), ("x-api-key", "ours")], "ours"),
        ([("x-api-key", ""), ("authorization", "Bearer ours")], "ours"),
        ([("authorization", "Negotiate abc")], None),
        ([("authorization", "Basic ****")], ""),
        ([], None),
    ],
)
def test_the_key_for_the_service_is_taken_before_one_for_a_proxy(headers, key):
    assert presented((name.encode(), value.encode()) for name, value in headers) == key


@pytest.mark.parametrize(
    "variable", ["desk", "desk:short", "a:0123456789abcdef,a:0123456789abcdefg"]
)
def test_a_bad_entry_of_the_variable_is_counted_and_not_quoted(variable):
    with pytest.raises(InputError) as caught:
        Keyring.load(None, {"RASD_API_KEYS": variable})
    assert "RASD_API_KEYS: entry" in caught.value.problem
    assert "0123456789abcdef" not in str(caught.value)


def test_a_bucket_gives_a_burst_and_then_its_rate():
    now = 0.0
    limit = RateLimit(60, clock=lambda: now)
    assert [limit.wait("desk") for _ in range(15)] == [0.0] * 15
    assert limit.wait("desk") == pytest.approx(1.0)
    assert limit.wait("other") == 0.0
    now = 1.0
    assert limit.wait("desk") == 0.0
    assert limit.wait("desk") == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("database", "shown"),
    [
        ("postgresql+psycopg://rasd:s3cret@db:5433/desk", "postgresql://rasd@db:5433/desk"),
        (
            "postgresql://rasd@/desk?host=/run/pg&password=s3cret&sslpassword=x",
            "'postgresql://rasd@/desk?host=%2Frun%2Fpg'",
        ),
        ("sqlite:////srv/my desk/feedback.db", "'sqlite:////srv/my desk/feedback.db'"),
        ("sqlite:///feedback.db", f"sqlite:///{Path.cwd()}/feedback.db"),
    ],
)
def test_the_command_of_a_retraining_names_the_database_without_a_password(database, shown):
    config = ServeConfig.model_validate({"feedback": {"database": database}})
    assert retraining_command(config) == f"rasd retrain --from-feedback {shown} --quick"


def test_no_command_is_given_that_would_retrain_another_model_than_the_one_that_is_served(tmp_path):
    assert retraining_command(ServeConfig(model=tmp_path)) is None
    command = retraining_command(ServeConfig(registry=tmp_path / "registry"))
    assert command.endswith(f"--registry {tmp_path}/registry --quick")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"model: {'a' * 300}", None),
        ("model: ~no-such-user/bundle", None),
        ('security: {keys_file: "a\\0b"}', None),
        ("security: [keys.txt]", "line 1: security is ['keys.txt']"),
        ("security: {cors_origins: [https://desk.example.org/]}", "line 1: security.cors_origins"),
    ],
)
def test_a_value_that_cannot_be_right_is_an_error_or_left_for_its_reader(tmp_path, line, said):
    path = tmp_path / "serve.yaml"
    path.write_text(f"{line}\n", encoding="utf-8")
    if said is None:
        load_config(path, {"insecure": True})
        return
    with pytest.raises(InputError) as caught:
        load_config(path, {"insecure": True})
    assert said in caught.value.problem


@pytest.mark.parametrize("origin", ["*", "https://desk.example.org", "http://[::1]:8080", "null"])
def test_an_origin_is_taken_as_browsers_send_it(origin):
    assert ServeConfig.model_validate({"security": {"cors_origins": [origin]}})


def test_a_host_that_is_no_name_is_an_error_of_two_lines():
    with pytest.raises(InputError) as caught:
        listen("a" * 70, 0)
    assert "cannot listen there" in caught.value.problem


def test_a_keys_file_is_a_regular_file_with_a_byte_order_mark_or_without(tmp_path):
    _, line = new_key("desk")
    file = tmp_path / "keys.txt"
    file.write_text(line, encoding="utf-8-sig")
    assert len(Keyring.load(file, {})) == 1
    os.mkfifo(tmp_path / "pipe")
    for wrong in (tmp_path / "pipe", tmp_path, Path("a\0b")):
        with pytest.raises(InputError) as caught:
            Keyring.load(wrong, {})
        assert "cannot be read" in caught.value.problem


def test_a_key_that_is_revoked_while_the_service_starts_is_revoked(tmp_path, monkeypatch):
    monkeypatch.setattr(key_watcher, "INTERVAL", 0.01)
    (old, old_line), (_, new_line) = new_key("old"), new_key("new")
    file = tmp_path / "keys.txt"
    file.write_text(old_line, encoding="utf-8")
    keys = Keyring.load(file, {})
    file.write_text(new_line, encoding="utf-8")

    async def watch() -> None:
        watching = asyncio.create_task(key_watcher.KeyWatcher(file, keys).run())
        async with asyncio.timeout(10):
            while keys.name_of(old):
                await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(watch())


def test_a_keys_file_on_a_disk_that_does_not_answer_holds_up_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(key_watcher, "INTERVAL", 0.01)
    monkeypatch.setattr(key_watcher, "DEADLINE", 0.1)
    answers = threading.Event()
    load = Keyring.load

    def load_from_that_disk(file):
        answers.wait(10)
        return load(file, {})

    (old, old_line), (_, new_line) = new_key("old"), new_key("new")
    file = tmp_path / "keys.txt"
    file.write_text(old_line, encoding="utf-8")
    keys = load(file, {})
    file.write_text(new_line, encoding="utf-8")
    monkeypatch.setattr(Keyring, "load", load_from_that_disk)

    async def watch() -> None:
        watching = asyncio.create_task(key_watcher.KeyWatcher(file, keys).run())
        async with asyncio.timeout(5):
            while not caplog.records:
                await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGHUP)
        before = threading.active_count()
        await asyncio.sleep(0.5)
        assert threading.active_count() == before  # not one more for each look
        assert keys.name_of(old) == "old"
        assert "not read in 0.1 seconds" in caplog.records[0].reason
        answers.set()
        async with asyncio.timeout(10):
            while keys.name_of(old):
                await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(watch())


def test_a_wrong_label_is_quoted_no_further_than_a_label_may_be_long():
    with pytest.raises(ProblemError) as caught:
        check_label("label", "deny" + "x" * 10**6, ["denial", "other"])
    assert len(caught.value.detail) < 300


def test_a_service_that_is_not_ready_says_when_to_ask_again():
    app = FastAPI()
    pool = cast(Pool, SimpleNamespace(ready=False, model=""))
    app.include_router(status_router(pool, Metrics(), Admission(LimitsConfig()), follower=None))
    answer = TestClient(app).get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
