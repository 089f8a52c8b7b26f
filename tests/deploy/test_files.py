"""The files in deploy/ fit the code: commands and options exist, names, ports and times agree. Nothing is started."""

from __future__ import annotations

import pathlib
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import click
import pytest
import yaml
from durable_saga_server.access.policy import read_policy

from durable_saga.cli import main
from durable_saga.cli.stopping import STOP_SECONDS_MAX
from durable_saga.cli.supervising import STOP_SECONDS_MAX as SUPERVISED_SECONDS_MAX

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    document
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    if file.name != "kustomization.yaml"
    for document in yaml.safe_load_all(file.read_text())
]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for one in MANIFESTS:
        if "template" in one["spec"]:
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def exec_line(unit: pathlib.Path) -> list[str]:
    found = re.search(r"^ExecStart=/opt/durable-saga/bin/durable-saga (.+)$", unit.read_text(), re.MULTILINE)
    assert found is not None, unit.name
    return shlex.split(found[1])


def commands() -> Iterator[tuple[str, list[str]]]:
    for name, service in COMPOSE["services"].items():
        if service.get("image") == "durable-saga":
            if "command" in service:
                yield f"compose {name}", service["command"]
            if "healthcheck" in service:
                yield f"compose {name} healthcheck", service["healthcheck"]["test"][2:]
    for unit in UNITS:
        yield unit.name, exec_line(unit)
    for name, pod in pods():
        (container,) = pod["containers"]
        yield name, container["args"]


def test_probes_ask_what_the_process_serves() -> None:
    for name in ("durable-saga", "shop-orders"):
        (container,) = dict(pods())[name]["containers"]
        (listening,) = [word.rpartition(":")[2] for word in container["args"] if word.startswith("--metrics=")]
        assert {"name": "metrics", "containerPort": int(listening)} in container["ports"]
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
        assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}


@pytest.mark.parametrize(("place", "words"), list(commands()), ids=[place for place, _ in commands()])
def test_every_command_exists_with_its_options(place: str, words: list[str]) -> None:
    words = list(words)
    command: click.Command = main
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    with click.Context(command) as context:  # parsed, not converted: the files are not on this machine
        given, left, _ = command.make_parser(context).parse_args(words)
    assert left == []
    known = {one.name for one in command.params}
    assert set(given) <= known, place


def test_whatever_listens_beyond_loopback_has_tls_and_identity() -> None:
    servers = [words for _, words in commands() if words[0] == "server"]
    assert len(servers) == 3
    for words in servers:
        line = " ".join(words).replace("=", " ")
        if "--listen 127.0.0.1:" not in line:
            assert "--tls-cert " in line
            assert "--tls-key " in line
        assert "--tokens" in words or "--access " in line
        assert "--insecure" not in words


def test_ports_are_the_defaults_of_the_code() -> None:
    ports = {one.name: str(one.default).rpartition(":")[2] for one in main.commands["server"].params if one.name == "listen"}
    page = {str(one.default).rpartition(":")[2] for one in main.commands["page"].params if one.name == "listen"}
    assert f"EXPOSE {ports['listen']} {page.pop()}" in (DEPLOY / "Dockerfile").read_text()
    texts = [file.read_text() for file in DEPLOY.rglob("*") if file.suffix in (".yaml", ".service")]
    found = {port for text in texts for port in re.findall(r"(?:listen[= ]|grpcs://|--url |advertise=)[^\s\"]*:(\d+)", text)}
    assert found == {ports["listen"]}


def test_a_worker_is_given_the_time_that_it_takes_to_stop() -> None:
    worker = dict(pods())["shop-orders"]
    assert worker["terminationGracePeriodSeconds"] > STOP_SECONDS_MAX
    assert int(COMPOSE["services"]["worker"]["stop_grace_period"].rstrip("s")) > STOP_SECONDS_MAX
    unit = (DEPLOY / "systemd" / "durable-saga-worker@.service").read_text()
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]) > SUPERVISED_SECONDS_MAX
    assert "KillMode=mixed" in unit


def test_compose_names_only_secrets_volumes_and_services_that_it_has() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(services), name
        for wanted in service.get("depends_on", {}):
            assert "healthcheck" in services[wanted], name
        used = re.findall(r"/run/secrets/([\w.-]+)", yaml.safe_dump(service))
        assert set(used) == set(service.get("secrets", [])), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or source == "./app" or (DEPLOY / source).is_file()


def test_kubernetes_names_agree() -> None:
    named = {(one["kind"], one["metadata"]["name"]): one for one in MANIFESTS}
    service, server = named["Service", "durable-saga"], named["StatefulSet", "durable-saga"]
    assert server["spec"]["serviceName"] == service["metadata"]["name"]
    for one in (server, named["Deployment", "shop-orders"]):
        assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
    labels = server["spec"]["template"]["metadata"]["labels"]
    assert (
        service["spec"]["selector"] == labels == named["PodDisruptionBudget", "durable-saga"]["spec"]["selector"]["matchLabels"]
    )
    namespace = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["namespace"]
    hosts = set(re.findall(r"[\w.-]*\.svc\.cluster\.local", yaml.safe_dump_all(MANIFESTS)))
    assert {host.removeprefix(".") for host in hosts} == {f"durable-saga.{namespace}.svc.cluster.local"}


@pytest.mark.parametrize(("name", "pod"), list(pods()), ids=[name for name, _ in pods()])
def test_pods_are_no_root_and_mount_what_they_have(name: str, pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "memory" in container["resources"]["limits"], name
    assert {one["name"] for one in container.get("volumeMounts", [])} == {one["name"] for one in pod.get("volumes", [])}
    mounts = [one["mountPath"] for one in container.get("volumeMounts", [])]
    assert all(
        any(path.startswith(one) for one in mounts) for path in re.findall(r"(?<![\w.])/\w+/[\w.]+", str(container["args"]))
    )


def test_the_kustomization_can_be_built() -> None:
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    there = {file.name for file in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == there
    if shutil.which("kubectl") is None:
        return  # what it would do beyond that needs the tool
    done = subprocess.run(["kubectl", "kustomize", str(DEPLOY / "kubernetes")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(MANIFESTS)
    assert {one["metadata"]["namespace"] for one in built} == {kustomization["namespace"]}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_unit(unit: pathlib.Path, tmp_path: pathlib.Path) -> None:
    text = unit.read_text()
    assert all(f"[{section}]\n" in text for section in ("Unit", "Service", "Install"))
    if shutil.which("systemd-analyze") is None:
        return  # the commands are looked at above
    for one in UNITS:  # verify wants the program to be there
        there = one.read_text().replace("/opt/durable-saga/bin/durable-saga", shutil.which("true") or "/bin/true")
        (tmp_path / one.name).write_text(there)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit.name.replace("@.", "@shop.orders."))],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "durable-saga" in line and "is not executable" not in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_the_image_has_what_the_lock_pins_and_is_no_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert (requires, set(re.findall(r"^FROM (\S+)", text, re.MULTILINE))) == (">=3.11,<3.14", {"python:3.13-slim"})
    assert "--require-hashes -r /wheels/requirements.lock" in text
    assert (ROOT / "requirements.lock").is_file()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert 'ENTRYPOINT ["durable-saga"]' in text


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda script: script.name)
def test_the_scripts_parse(script: pathlib.Path) -> None:
    done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_access_file_is_one() -> None:
    assert read_policy((DEPLOY / "access.toml").read_text()) is not None
