"""The files that deploy the service agree with the service and with each other."""

import re
from pathlib import Path

import yaml

from serving.service.config import ServeConfig, load_config

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_containers_settings_are_settings():
    config = load_config(ROOT / "configs" / "container.yaml", {})
    assert (config.host, config.port) == ("0.0.0.0", 8000)
    assert config.feedback.database == "sqlite:////data/feedback.db"
    assert f"EXPOSE {config.port}" in DOCKERFILE
    assert f":{config.port}/livez" in DOCKERFILE


def test_the_dockerfile_copies_what_there_is_and_installs_no_torch():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name in names:
        assert (ROOT / name).exists()
        assert f"!{name.split('/')[0]}" in allowed
    assert "train" not in re.findall(r"\[([a-z,]+)\]", DOCKERFILE)
    assert re.search(r"^USER (?!root|0)", DOCKERFILE, re.MULTILINE)


def test_compose_mounts_what_there_is():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in compose["volumes"]
    grace = int(compose["services"]["rasd"]["stop_grace_period"].removesuffix("s"))
    assert grace > ServeConfig().limits.drain_seconds
    assert compose["services"]["rasd"]["read_only"] is True


def test_prometheus_asks_the_service_where_compose_has_it():
    scrape = yaml.safe_load(
        (ROOT / "docs" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    )["scrape_configs"][0]
    assert scrape["static_configs"] == [{"targets": ["rasd:8000"]}]


def test_the_guides_manifest_fits_the_service(tmp_path):
    manifest = re.search(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert manifest
    parts = {part["kind"]: part for part in yaml.safe_load_all(manifest[1])}
    settings = tmp_path / "serve.yaml"
    settings.write_text(parts["ConfigMap"]["data"]["serve.yaml"], encoding="utf-8")
    config = load_config(settings, {})
    pod = parts["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["ports"][0]["containerPort"] == config.port
    assert pod["terminationGracePeriodSeconds"] > config.limits.drain_seconds + 5
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert str(config.security.keys_file).startswith(tuple(mounted))
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
