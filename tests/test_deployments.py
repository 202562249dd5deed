"""What lies in deployments/ for a real server: pinned, watched, without secrets, and as its own tools want it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEPLOYMENTS = Path(__file__).parents[1] / "deployments"
COMPOSE = yaml.safe_load((DEPLOYMENTS / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
ENDING = {"bucket", "deploy"}  # do one thing, and others wait for its end
NAMES = {"STATION_PREFECT_NAME", "STATION_MLFLOW_NAME"}
SECRETS = {"STATION_USER", "STATION_PASSWORD", "POSTGRES_PASSWORD", "STORE_USER", "STORE_PASSWORD", "MLFLOW_SECRET_KEY"}


def test_every_image_is_pinned_and_every_service_that_stays_has_a_health_check():
    assert {"postgres", "store", "prefect", "mlflow", "worker"} <= SERVICES.keys()
    for name, service in SERVICES.items():
        _, colon, tag = service["image"].rpartition(":")
        assert colon, name
        assert re.search(r"\d", tag), name
        assert ("healthcheck" in service) is (name not in ENDING), name
        assert service["restart"] == ("no" if name in ENDING else "unless-stopped"), name


def test_services_wait_for_those_that_they_need_to_be_well():
    waited = {
        (name, on): how["condition"]
        for name, service in SERVICES.items()
        for on, how in service.get("depends_on", {}).items()
    }
    for (name, on), condition in waited.items():
        assert on in SERVICES
        expected = "service_completed_successfully" if on in ENDING else "service_healthy"
        assert condition == expected, (name, on)
    assert {
        ("prefect", "postgres"),
        ("mlflow", "postgres"),
        ("mlflow", "bucket"),
        ("worker", "deploy"),
    } <= waited.keys()


def test_the_worker_has_a_gpu_and_no_port_is_open_to_others():
    (device,) = SERVICES["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_stands_in_a_file_and_a_missing_one_stops_compose():
    text = (DEPLOYMENTS / "compose.yaml").read_text(encoding="utf-8")
    required = set(re.findall(r"\$\{(\w+):\?\}", text))
    assert required >= SECRETS
    assert not SECRETS & set(re.findall(r"\$\{(\w+)\}", text))
    example = (DEPLOYMENTS / "station.env.example").read_text(encoding="utf-8")
    given = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    assert given.keys() == required
    assert all(given[name] == "" for name in SECRETS)


def test_what_listens_for_others_asks_for_credentials_by_name():
    prefect, mlflow = SERVICES["prefect"], SERVICES["mlflow"]
    assert "PREFECT_SERVER_API_AUTH_STRING" in prefect["environment"]
    assert "--name=${STATION_PREFECT_NAME:?}" in prefect["command"]
    assert "--app-name=basic-auth" in mlflow["command"]
    assert any(word.startswith("--allowed-hosts=${STATION_MLFLOW_NAME:?},") for word in mlflow["command"])
    assert "--cors-allowed-origins=https://${STATION_MLFLOW_NAME:?}" in mlflow["command"]
    assert not any("*" in word for word in (*prefect["command"], *mlflow["command"]))


def test_links_of_prefects_pages_lead_where_browsers_can_go():
    for name in ("deploy", "worker"):
        assert SERVICES[name]["environment"]["TAXALAKE_MLFLOW_PAGES"] == "https://${STATION_MLFLOW_NAME:?}"


def test_what_has_to_outlive_a_container_lies_on_a_volume_with_a_name():
    for name in ("prefect", "mlflow", "worker"):
        volume, path = SERVICES[name]["volumes"][0].split(":")
        assert volume in COMPOSE["volumes"]
        assert path == "/srv/taxalake", name
    # The settings of the home say how often is looked and how long is waited, which becomes a part of deployments.
    assert SERVICES["deploy"]["volumes"] == SERVICES["worker"]["volumes"][:1]


def test_compose_accepts_its_file():
    """Needs the plug-in of docker, and no daemon."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not here")
    done = subprocess.run(
        [docker, "compose", "--file", str(DEPLOYMENTS / "compose.yaml"), "config", "--quiet"],
        env={**os.environ, **dict.fromkeys({*SECRETS, *NAMES}, "given")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_image_is_pinned_by_the_constraints_and_runs_as_nobody_special():
    lines = (DEPLOYMENTS / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    steps = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    words = [word for word, _ in steps]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", steps[0][1])
    (install,) = [rest for word, rest in steps if word == "RUN" and "pip install" in rest]
    assert "--constraint constraints.txt" in install
    assert "[station,postgres,s3]" in install
    assert words.index("USER") > words.index("RUN")
    assert dict(steps)["USER"] not in {"root", "0"}
    for word, rest in steps:
        if word == "COPY":
            for source in rest.split()[:-1]:
                assert (DEPLOYMENTS.parent / source).exists(), source


def test_systemd_accepts_the_unit_and_finds_little_to_attack(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    unit = (DEPLOYMENTS / "taxalake.service").read_text(encoding="utf-8")
    program = Path(sys.executable).parent / "taxalake"
    copy = tmp_path / "taxalake.service"
    copy.write_text(unit.replace("/opt/taxalake/.venv/bin/taxalake", str(program)), encoding="utf-8")
    verified = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stderr
    assert "taxalake.service" not in verified.stderr, verified.stderr
    secured = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=30", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert secured.returncode == 0, secured.stdout[-500:]
