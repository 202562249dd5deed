"""`taxalake serve` for real: begun, asked, killed, begun again."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import yaml
from homes import REPOSITORY, content
from postgres import PASSWORD, cluster
from served import QUICK, Served, basic, begin, free_ports, left, raw, served, status_of, until_servers_are_gone

from flows import databases, programs, settings
from flows.doors import Doors
from flows.server import CredentialsError, credentials, running_station
from flows.settings import SettingsError
from modeling.addresses import without_password

CREDENTIALS = "op%er:correct horse: battery"
HOSTILE = "evil.example"
ALIAS = "station.example.org"


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    # A network's proxy that answers nobody.
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
    with served(tmp_path_factory.mktemp("station"), "--allow-host", ALIAS.title(), **proxies) as running:
        yield running


def commanded(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command as a user has it, in a shell where nothing of Prefect is set."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *words, "--home", str(home)],
        env={**env, **QUICK, **variables},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_one_command_serves_both_pages_and_deploys_everything(station):
    assert status_of(station.report["prefect"]) == 200
    assert status_of(station.report["mlflow"]) == 200
    deployments = station.post("deployments/filter")
    file = yaml.safe_load((REPOSITORY / "deployments" / "prefect.yaml").read_text(encoding="utf-8"))
    assert len(deployments) == len(file["deployments"]) > 20
    station.says("prefect up, mlflow up, worker up")
    workers = station.post("work_pools/taxalake/workers/filter")
    assert [worker["status"] for worker in workers] == ["ONLINE"]


def test_requests_to_the_station_pass_by_a_proxy_of_the_network(station):
    assert station.env["http_proxy"]
    workers = station.post("work_pools/taxalake/workers/filter")
    assert [worker["status"] for worker in workers] == ["ONLINE"]


def test_ended_flow_runs_are_removed_from_prefects_database_after_90_days(station):
    vacuum = station.get("admin/settings")["server"]["services"]["db_vacuum"]
    assert set(vacuum["enabled"]) == {"events", "flow_runs"}
    assert vacuum["retention_period"] == "P90D"


def test_both_pages_work_by_every_name_with_a_proxy_before_them_or_not(station):
    for address in (station.api.removesuffix("/api"), station.mlflow):
        port = address.rpartition(":")[2]
        path = "api/flows/filter" if address in station.api else "api/2.0/mlflow/experiments/search"
        for host in (ALIAS, f"{ALIAS}:{port}", f"localhost:{port}"):
            for scheme in ("http", "https"):
                headers = {"Host": host, "Origin": f"{scheme}://{host}"}
                asked = httpx.post(f"{address}/{path}", json={"max_results": 5}, headers=headers, timeout=60)
                assert asked.status_code in {200, 422}, (path, headers, asked.text)
        for origin in (f"https://{HOSTILE}", f"https://{ALIAS}.{HOSTILE}", f"http://{ALIAS}:1"):
            headers = {"Host": ALIAS, "Origin": origin}
            assert httpx.post(f"{address}/{path}", json={}, headers=headers, timeout=60).status_code == 403, origin


def test_names_are_compared_as_browsers_send_them():
    doors = Doors("0.0.0.0", 4200, 5000, ("MyHost", "::2"))
    assert "myhost" in doors.all_names
    assert all(name == name.lower() for name in doors.all_names)
    assert doors.far(5000) == "http://myhost:5000"
    assert {"myhost", "myhost:5000", "[::2]:5000"} <= set(doors.hosts(5000))
    assert {"https://myhost", "http://myhost:5000", "https://[::2]"} <= set(doors.origins(5000))


def test_who_deploys_by_a_name_that_is_refused_is_told_so(station):
    port = station.api.removesuffix("/api").rpartition(":")[2]
    refused = commanded(station.home, "deploy", PREFECT_API_URL=f"http://127.1:{port}/api")
    assert refused.returncode == 1
    assert "refuses requests by that name" in refused.stderr
    assert "credentials" not in refused.stderr


def test_the_home_says_what_runs_to_its_owner_alone(station):
    file = station.home / "station.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    said = running_station(station.home)
    assert (said.pid, said.api, said.is_up) == (station.process.pid, station.api, True)
    assert said.mlflow == station.mlflow


def test_a_second_station_of_a_home_is_refused_with_pid_and_addresses_of_the_first(station):
    refused = commanded(station.home, "serve", "--port", "1", "--mlflow-port", "2")
    assert refused.returncode == 1
    for word in (str(station.process.pid), station.api, station.mlflow):
        assert word in refused.stderr
    assert status_of(f"{station.api}/health") == 200


def test_a_taken_port_is_refused_before_anything_starts(station, tmp_path):
    port = station.mlflow.rpartition(":")[2]
    refused = commanded(tmp_path / "home", "serve", "--port", str(free_ports(1)[0]), "--mlflow-port", port)
    assert refused.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be had" in refused.stderr
    free = str(free_ports(1)[0])
    refused = commanded(tmp_path / "home", "serve", "--port", free, "--mlflow-port", free)
    assert refused.returncode == 1
    assert f"port {free} cannot be that of Prefect and of MLflow" in refused.stderr
    assert not left(tmp_path / "home")
    assert not (tmp_path / "home" / "station.json").exists()


def test_a_command_of_the_home_is_a_flow_run_of_its_station_and_one_of_another_home_is_not(station, flora, tmp_path):
    words = ("ingest", "folder", str(flora.folder / "plants"), "--dataset", "recorded")
    for home in (station.home, tmp_path / "elsewhere"):
        done = commanded(home, *words)
        assert done.returncode == 0, done.stderr
        assert len(content(home, "image_records")) == 60
    runs = [run for run in station.post("flow_runs/filter") if run["parameters"].get("dataset") == "recorded"]
    assert [run["state_name"] for run in runs] == ["Completed"]


def test_a_request_by_a_strangers_name_or_from_a_strangers_page_is_refused(station):
    """A page that a browser of this machine shows could have the station run commands otherwise."""
    api, port = station.api.removesuffix("/api"), station.api.removesuffix("/api").rpartition(":")[2]
    for address, target in ((api, "/api/health"), (api, "/"), (station.mlflow, "/"), (station.mlflow, "/version-x")):
        assert raw(address, target, Host=HOSTILE)[0] == 403
        assert raw(address, target, Host=f"{HOSTILE}:{port}")[0] == 403
    for name in ("127.0.0.1", "localhost"):
        assert raw(api, "/api/health", Host=f"{name}:{port}")[0] == 200
    for origin in (f"http://{HOSTILE}", "null", "http://127.0.0.1:1"):
        asked = httpx.post(f"{station.api}/flows/filter", json={}, headers={"Origin": origin})
        assert asked.status_code == 403, origin
    own = httpx.post(f"{station.api}/flows/filter", json={}, headers={"Origin": api})
    assert own.status_code == 200
    mlflow = httpx.post(
        f"{station.mlflow}/api/2.0/mlflow/experiments/create",
        json={"name": "x"},
        headers={"Origin": f"http://{HOSTILE}"},
    )
    assert mlflow.status_code == 403
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert raw(api, "/api/events/in", Origin=f"http://{HOSTILE}", **upgrade, **key)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        *("../mlflow.db", "%2e%2e/mlflow.db", "..%2fmlflow.db", "%252e%252e/mlflow.db", "a/../../mlflow.db"),
        *("/etc/passwd", "%2fetc%2fpasswd", "file:///etc/passwd", "..%5cmlflow.db"),
    ],
)
def test_the_name_of_an_artifact_leads_to_nothing_but_artifacts(station, path):
    (station.home / "mlartifacts").mkdir(exist_ok=True)
    created = httpx.post(f"{station.mlflow}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}, timeout=60)
    run_id = created.json()["run"]["info"]["run_id"]
    for target in (
        f"/api/2.0/mlflow-artifacts/artifacts/{path}",
        f"/api/2.0/mlflow-artifacts/artifacts?path={path}",
        f"/get-artifact?run_uuid={run_id}&path={path}",
        f"/ajax-api/2.0/mlflow/get-artifact?run_uuid={run_id}&path={path}",
        f"/ajax-api/2.0/mlflow/artifacts/list?run_id={run_id}&path={path}",
    ):
        status, body = raw(station.mlflow, target)
        assert b"SQLite format" not in body
        assert b"root:" not in body
        # A backslash is a letter like any other here: a folder of such a name is empty.
        assert status >= 400 or b"is_dir" not in body, (target, body[:200])


@pytest.mark.parametrize(("word", "title"), [("worker start", "worker"), ("mlflow server", "mlflow")])
def test_a_program_that_is_killed_is_begun_again(station, word, title):
    kill(station, word, title)


def test_a_slot_outlives_the_server_that_gave_it_and_is_free_again_when_its_holder_is_done(station):
    limits = f"{station.api}/v2/concurrency_limits"
    wanted = {"names": ["taxalake-gpu"], "slots": 1, "mode": "concurrency", "lease_duration": 300}
    lease = station.post("v2/concurrency_limits/increment-with-lease", **wanted)["lease_id"]
    kill(station, "prefect_server", "prefect")
    assert httpx.post(f"{limits}/increment-with-lease", json=wanted, timeout=60).status_code == 423
    renewed = httpx.post(f"{limits}/leases/{lease}/renew", json={"lease_duration": 300}, timeout=60)
    assert renewed.status_code == 204
    freed = httpx.post(f"{limits}/decrement-with-lease", json={"lease_id": lease}, timeout=60)
    assert freed.status_code == 204
    assert station.get("v2/concurrency_limits/taxalake-gpu")["active_slots"] == 0


def test_what_prefect_unpacks_and_keeps_beside_its_database_is_in_the_home(station):
    kept = station.home / "prefect"
    assert (kept / "ui" / "v2" / "index.html").is_file()
    assert (kept / "concurrency_leases").is_dir()


def test_what_a_dead_program_has_left_is_ended_and_a_stranger_with_its_number_is_not(tmp_path):
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    stranger = subprocess.Popen(words, start_new_session=True)
    ours = subprocess.Popen(words, start_new_session=True, env={**os.environ, programs.MARK: str(tmp_path)})
    try:
        programs.end_session(stranger.pid, tmp_path)
        programs.end_session(ours.pid, tmp_path)
        assert ours.wait(10) == -signal.SIGKILL
        assert stranger.poll() is None
    finally:
        for one in (stranger, ours):
            one.kill()
            one.wait()


def kill(station: Served, word: str, title: str) -> None:
    """Kill one of the programs and wait until it is there again, and all are well."""
    pid = station.pid_of(word)
    os.kill(pid, signal.SIGKILL)
    station.says(f"{title} ended with -9")
    deadline = time.monotonic() + 120
    while not station.said.rstrip().endswith("prefect up, mlflow up, worker up"):
        assert time.monotonic() < deadline, station.said
        time.sleep(0.2)
    assert station.pid_of(word) != pid
    assert status_of(f"{station.api}/health") == 200


def test_a_station_that_is_told_to_end_leaves_nothing_behind_and_one_that_is_killed_is_found_again(tmp_path):
    with served(tmp_path) as first:
        ids = {one["name"] + one["flow_id"]: one["id"] for one in first.post("deployments/filter")}
        automations = {one["name"]: one["id"] for one in first.post("automations/filter")}
        assert ids
        assert automations
        lost = napping(first)
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
        until_servers_are_gone(first.home)
    assert running_station(tmp_path / "home") is None
    with served(tmp_path) as second:
        assert "nothing was changed" in " ".join(second.report["deployed"])
        kept = {one["name"] + one["flow_id"]: one["id"] for one in second.post("deployments/filter")}
        assert kept.items() >= ids.items()
        assert {one["name"]: one["id"] for one in second.post("automations/filter")} == automations
        assert second.get(f"flow_runs/{lost}")["state_type"] == "CRASHED"
        assert left(second.home)
        napping(second)
        assert second.stop(signal.SIGTERM) == 0
        assert not left(second.home)
    assert not (tmp_path / "home" / "station.json").exists()


def napping(station: Served) -> str:
    """Have the worker run a flow that takes long, and return its id once it is at work."""
    flow_id = station.post("flows/", name="sleep")["id"]
    deployment = station.post(
        "deployments/",
        name="nap",
        flow_id=flow_id,
        entrypoint="sleeper.sleep",
        work_pool_name="taxalake",
        pull_steps=[],
        parameters={"seconds": 300},
        job_variables={"env": {"PYTHONPATH": str(REPOSITORY / "tests" / "flows")}},
    )
    run_id = str(station.post(f"deployments/{deployment['id']}/create_flow_run")["id"])
    station.reached(run_id, {"RUNNING"}, within=120)
    return run_id


def test_a_station_that_others_can_reach_is_refused_without_credentials(tmp_path):
    for host in ("0.0.0.0", "::", socket.gethostname()):
        refused = commanded(tmp_path / "home", "serve", "--host", host)
        assert refused.returncode == 1
        assert "credentials are needed" in refused.stderr
        assert "TAXALAKE_STATION_AUTH" in refused.stderr
    assert not left(tmp_path / "home")


def test_beyond_the_loopback_nothing_is_answered_without_credentials(tmp_path, flora):
    with served(tmp_path, "--host", "0.0.0.0", TAXALAKE_STATION_AUTH=CREDENTIALS) as station:
        ours, wrong = basic(CREDENTIALS), basic(CREDENTIALS + "x")
        prefect = ("flows/filter", "deployments/filter", "variables/filter")
        mlflow = (
            *("/", "/version", "/graphql", "/get-artifact?path=a", "/api/2.0/mlflow-artifacts/artifacts"),
            *("/api/2.0/mlflow/experiments/search?max_results=5", "/ajax-api/2.0/mlflow/registered-models/search"),
        )
        for headers in ({}, wrong):
            for path in prefect:
                asked = httpx.post(f"{station.api}/{path}", json={}, headers=headers)
                assert asked.status_code == 401, path
            for path in mlflow:
                assert status_of(f"{station.mlflow}{path}", headers=headers) == 401, path
        assert httpx.post(f"{station.api}/flows/filter", json={}, headers=ours).status_code == 200
        search = f"{station.mlflow}/api/2.0/mlflow/experiments/search?max_results=5"
        assert status_of(search, headers=ours) == 200
        assert raw(station.mlflow, "/", Host=HOSTILE, **ours)[0] == 403
        assert raw(station.api.removesuffix("/api"), "/api/health", Host=HOSTILE)[0] == 403
        # The worker has come in by its credentials, and commands of the home do.
        workers = httpx.post(f"{station.api}/work_pools/taxalake/workers/filter", json={}, headers=ours).json()
        assert [worker["status"] for worker in workers] == ["ONLINE"]
        words = ("ingest", "folder", str(flora.folder / "plants"), "--dataset", "recorded")
        without = commanded(station.home, *words)
        assert without.returncode == 1
        assert "wants credentials" in without.stderr
        done = commanded(station.home, *words, TAXALAKE_STATION_AUTH=CREDENTIALS)
        assert done.returncode == 0, done.stderr
        runs = httpx.post(f"{station.api}/flow_runs/filter", json={}, headers=ours).json()
        assert [run["state_name"] for run in runs if run["parameters"].get("dataset") == "recorded"] == ["Completed"]
        secret = CREDENTIALS.partition(":")[2]
        assert not any(secret in line for line in left(station.home).values()), "it stands in `ps`"
        assert secret not in station.said
        for file in station.home.iterdir():
            if file.is_file() and secret.encode() in file.read_bytes():
                pytest.fail(f"{file} holds the password")


def test_credentials_that_others_can_read_or_guess_are_refused(tmp_path, monkeypatch):
    file = tmp_path / "station.auth"
    assert credentials(tmp_path) is None
    file.write_text(f"{CREDENTIALS}\n")
    file.chmod(0o640)
    with pytest.raises(CredentialsError, match="chmod 600"):
        credentials(tmp_path)
    file.chmod(0o600)
    assert credentials(tmp_path) == CREDENTIALS
    for given in ("alone", "user:short", ":nobody's long password", "user:with\ta control sign"):
        monkeypatch.setenv("TAXALAKE_STATION_AUTH", given)
        with pytest.raises(CredentialsError, match="no USER:PASSWORD"):
            credentials(tmp_path)
    monkeypatch.setenv("TAXALAKE_STATION_AUTH", "another:long enough, this")
    assert credentials(tmp_path) == "another:long enough, this"


def test_the_address_of_postgresql_is_remembered_by_the_home_below_everything_that_is_said(tmp_path, monkeypatch):
    databases.remember(tmp_path, "postgresql://u:secret@db:5433/plants?sslmode=require")
    assert stat.S_IMODE((tmp_path / databases.REMEMBERED).stat().st_mode) == 0o600
    place = settings.load(home=tmp_path)
    assert place.registry_uri == "postgresql://u:secret@db:5433/plants_mlflow?sslmode=require"
    assert databases.of_prefect(place.postgres) == {
        "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://u:secret@db:5433/plants_prefect?ssl=require"
    }
    assert place.artifacts == tmp_path / "mlartifacts"
    (tmp_path / "taxalake.toml").write_text('postgres = "postgres://u@toml"\n')
    assert settings.load(home=tmp_path).registry_uri == "postgresql://u@toml/taxalake_mlflow"
    monkeypatch.setenv("TAXALAKE_POSTGRES", "postgresql://u@variable/x")
    assert settings.load(home=tmp_path).registry_uri == "postgresql://u@variable/x_mlflow"
    assert settings.load(home=tmp_path, tracking_uri="http://far:5000").registry_uri == "http://far:5000"


def test_a_station_on_one_postgresql_is_refused_where_other_commands_would_go_to_another(tmp_path):
    asked, other = "postgresql://u:secret@127.0.0.1:1/asked", "postgresql://u:secret@127.0.0.1:1/other"
    home = tmp_path / "home"
    port, mlflow_port = map(str, free_ports())
    words = ("serve", "--postgres", asked, "--port", port, "--mlflow-port", mlflow_port)
    told = commanded(home, *words, TAXALAKE_POSTGRES=other)
    (home / "taxalake.toml").write_text(f'postgres = "{other}"\n')
    for refused, where in ((told, "TAXALAKE_POSTGRES"), (commanded(home, *words), str(home / "taxalake.toml"))):
        assert refused.returncode == 1
        said = " ".join(refused.stderr.split())
        assert f"asked for at postgresql://u:***@127.0.0.1:1/asked, and {where} says postgresql://u:***@" in said
        assert "secret" not in said
    assert not (home / databases.REMEMBERED).exists()


def test_options_of_postgresql_reach_both_servers_or_are_refused_by_name(tmp_path):
    address = "postgresql://u@db/plants?sslmode=verify-full&sslrootcert=/etc/root.crt&sslkey=/k&sslcert=/c"
    assert databases.of_prefect(address) == {
        "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://u@db/plants_prefect?ssl=verify-full",
        **{"PGSSLROOTCERT": "/etc/root.crt", "PGSSLKEY": "/k", "PGSSLCERT": "/c"},
    }
    assert databases.of_mlflow(address).endswith("?sslmode=verify-full&sslrootcert=/etc/root.crt&sslkey=/k&sslcert=/c")
    with pytest.raises(SettingsError, match=r"told of channel_binding, password; the options are sslmode, ") as refused:
        settings.load(home=tmp_path, postgres=f"{address}&channel_binding=require&password=secret")
    assert "sslrootcert" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ["mysql://u:secret@db/x", "postgresql:///x", "u:secret@db"])
def test_what_is_no_address_of_postgresql_is_refused_without_its_password(tmp_path, address):
    with pytest.raises(SettingsError, match="like postgresql://user@host") as refused:
        settings.load(home=tmp_path, postgres=address)
    assert address == "u:secret@db" or "secret" not in str(refused.value)


def test_a_password_is_starred_out_wherever_an_address_stands():
    said = "could not reach postgresql://user:p@ss/w:rd@host:5432/x nor http://127.0.0.1:4200/api"
    assert without_password(said) == "could not reach postgresql://user:***@host:5432/x nor http://127.0.0.1:4200/api"
    options = "'postgresql://user@host/x?sslpassword=p%20w&password=secret'"
    assert without_password(options) == "'postgresql://user@host/x?sslpassword=***&password=***'"


@pytest.mark.slow
def test_the_password_of_an_mlflow_server_elsewhere_is_shown_nowhere(tmp_path):
    with served(tmp_path, TAXALAKE_TRACKING_URI="http://me:secret@127.0.0.1:9") as station:
        assert station.report["mlflow"] == "http://me:***@127.0.0.1:9"
        refused = commanded(station.home, "serve", "--port", "1", "--mlflow-port", "2")
        assert "me:***@127.0.0.1:9" in refused.stderr
        for said in (station.said, refused.stderr, (station.home / "station.json").read_text()):
            assert "secret" not in said


@pytest.mark.slow
def test_a_program_that_ends_again_and_again_ends_the_station_with_its_last_words(tmp_path):
    port, mlflow_port = map(str, free_ports())
    process = begin(
        *(tmp_path, "--port", port, "--mlflow-port", mlflow_port),
        PREFECT_API_DATABASE_CONNECTION_URL="sqlite+aiosqlite:////nowhere/at/all.db",
    )
    out, _ = process.communicate(timeout=280)
    assert process.returncode == 1
    assert out == ""
    said = (tmp_path / "serve.log").read_text()
    assert "prefect has ended 5 times in a row" in said
    assert "unable to open database file" in said
    assert not left(tmp_path / "home")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_on_postgresql_a_station_works_as_it_does_without_and_shows_no_password(tmp_path, flora, backbone):
    with cluster() as address:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "taxalake.toml").write_text(f'backbone = "{backbone}"\n')
        with served(tmp_path, "--postgres", address) as station:
            station.run(
                "ingest-table/station",
                csv=str(flora.plants_csv),
                dataset="plants",
                image_column="image",
                species_column="species_id",
                observation_column="observation",
                split_column="split",
            )
            first = station.run("retrain/station", dataset="plants", name="species")
            assert first["state_name"] == "Completed", first["state"]["message"]
            (version,) = httpx.get(f"{station.mlflow}/api/2.0/mlflow/model-versions/search", timeout=60).json()[
                "model_versions"
            ]
            assert version["name"] == "species"
            assert not (station.home / "mlflow.db").exists()
            assert not (station.home / "prefect" / "prefect.db").exists()
            status = commanded(station.home, "status", "--json")
            assert '"species/1"' in status.stdout
            for said in (
                status.stdout,
                station.said,
                *(file.read_text() for file in (station.home / "logs").iterdir()),
            ):
                assert quote(PASSWORD, safe="") not in said
            assert not any(quote(PASSWORD, safe="") in line for line in left(station.home).values())
        # Without a word of PostgreSQL: the home remembers.
        with served(tmp_path) as again:
            assert "nothing was changed" in " ".join(again.report["deployed"])
            runs = again.post("flow_runs/filter")
            assert first["id"] in {run["id"] for run in runs}
    gone = commanded(tmp_path / "home", "serve")
    assert gone.returncode == 1
    assert "can be neither found nor made" in gone.stderr
    assert quote(PASSWORD, safe="") not in gone.stderr
