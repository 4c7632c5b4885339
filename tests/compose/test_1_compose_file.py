"""The compose file and the images, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from containers.credentials import HOLDERS
from tests.compose.stack import JOBS, Stack, run

IMAGES = ("fraud-relay-scorer", "fraud-relay-pipeline", "fraud-relay-spark", "fraud-relay-airflow")
BASE = "python:3.13-slim-trixie"
SCORER_ADDS_MB = 450


def inspect(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("docker", "image", "inspect", image))[0]
    return found


def megabytes(image: str) -> float:
    """The size of an image's files; Docker's own figure depends on its image store."""
    command = ["docker", "run", "--rm", "--network=none", "--user=0", "--entrypoint=du", image, "-sxb", "/"]
    return int(run(*command).split()[0]) / 1e6


def in_image(image: str, script: str) -> str:
    return run("docker", "run", "--rm", "--network=none", image, "sh", "-c", script).strip()


def test_every_job_is_waited_for_and_every_service_has_a_health_check(stack: Stack) -> None:
    services = stack.config["services"]
    waited_for = {
        name
        for service in services.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert waited_for == JOBS
    assert {name for name, service in services.items() if "healthcheck" not in service} == JOBS


def test_dependencies_must_be_healthy_or_completed(stack: Stack) -> None:
    for name, service in stack.config["services"].items():
        for other, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other in JOBS else "service_healthy"
            assert how["condition"] == expected, (name, other)


def test_a_service_with_credentials_waits_until_they_are_written() -> None:
    services = Stack(ports={}).config["services"]

    def waited_for(name: str) -> set[str]:
        others = set(services[name].get("depends_on", {}))
        return others.union(*map(waited_for, others))

    holders = {
        name
        for name, service in services.items()
        if any(volume["source"].startswith("credentials-") for volume in service.get("volumes", []))
    } - {"credentials"}
    assert "spark-master" in holders
    assert [name for name in sorted(holders) if "credentials" not in waited_for(name)] == []


def test_no_setting_holds_a_secret(stack: Stack) -> None:
    for name, service in stack.config["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            if {"PASSWORD", "PASSWORDS", "SECRET", "SECRETS", "KEY"} & set(variable.split("_")):
                assert "/run/credentials/" in value, (name, variable)


def test_each_credential_volume_is_mounted_only_by_its_holder(stack: Stack) -> None:
    holders: dict[str, set[str]] = {}
    for name, service in stack.config["services"].items():
        for volume in service.get("volumes", []):
            if volume["source"].startswith("credentials-"):
                holders.setdefault(volume["source"].removeprefix("credentials-"), set()).add(name)
    airflow = {f"airflow-{name}" for name in ("migrate", "api-server", "scheduler", "dag-processor", "triggerer")}
    expected = {
        "postgres": {"postgres"},
        "valkey": {"valkey"},
        "migrate": {"migrate"},
        "mlflow": {"mlflow-migrate", "mlflow"},
        "mlflow-users": {"mlflow-migrate"},
        "airflow": airflow,
        "pipeline": {"spark-worker"},
        "spark": {"spark-master"},
        "training": {"airflow-scheduler"},
        "bootstrap": {"bootstrap"},
        "bank": {"replay"},
        "scorer": {"scorer"},
    }
    assert set(expected) == set(HOLDERS)
    assert {holder: users - {"credentials"} for holder, users in holders.items()} == expected


def test_the_scorer_and_the_pipeline_have_their_own_users_of_valkey(stack: Stack) -> None:
    services = stack.config["services"]
    users = {name: (one.get("environment") or {}).get("VALKEY_URL") for name, one in services.items()}
    assert {name: url for name, url in users.items() if url} == {
        "airflow-scheduler": "valkey://pipeline@valkey:6379/0",
        "scorer": "valkey://scorer@valkey:6379/0",
    }


def test_every_service_has_limits_on_cores_and_open_files(stack: Stack) -> None:
    for name, service in stack.config["services"].items():
        assert 0 < float(service["cpus"]) <= 2, name
        # The scorer keeps 10,000 connections and 200 files open.
        assert 10_200 <= service["ulimits"]["nofile"] <= 65_536, name


def test_your_own_payments_are_mounted_read_only_and_the_map_s_zone_is_taken(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('[time]\nzone = "Europe/Paris"\n')
    own = {"DATA": str(tmp_path), "MAP": str(tmp_path / "my.toml"), "MAP_FOLDER": str(tmp_path)}
    services = Stack(ports={}, settings=own).config["services"]
    mounts = {
        name: {one["target"]: one["source"] for one in service.get("volumes", []) if one["type"] == "bind"}
        for name, service in services.items()
    }
    of_map = {"/data/map.toml": own["MAP"]}
    everything = of_map | {"/data/payments": own["DATA"], "/data/maps": own["MAP_FOLDER"]}
    assert {name: mounted for name, mounted in mounts.items() if mounted} == {
        "airflow-scheduler": of_map,
        "bootstrap": everything,
        "replay": everything,
    }
    for name in ("airflow-scheduler", "bootstrap", "replay"):
        assert services[name]["environment"]["MAP"] == own["MAP"]
        assert services[name]["command"][1:3] == ["-m", "containers.own_data"]
        assert all(one["read_only"] for one in services[name]["volumes"] if one["type"] == "bind")
    assert services["airflow-scheduler"]["environment"]["BANK_ZONE"] == ""
    assert services["replay"]["environment"]["MAP_FOLDER"] == own["MAP_FOLDER"]


def mounted_by_make(given: str) -> str:
    """The paths of the map and of its folder that `make up` gives to Compose."""
    command = "sh -c 'echo \"[$$MAP] [$$MAP_FOLDER]\"' up"
    return run("make", "--no-print-directory", "up", f"MAP={given}", f"COMPOSE={command}").splitlines()[0]


def test_make_up_mounts_an_included_map_alone() -> None:
    assert mounted_by_make("sparkov") == "[./bank/maps/sparkov.toml] []"


@pytest.mark.parametrize(
    ("content", "mounts"),
    [
        ('[currency]\nhome = "EUR"\nrates = "rates.csv"\n', True),
        ('currency = { home = "EUR", rates="rates.csv" }\n', True),
        ('currency."rates" = "rates.csv"\n', True),
        ('[columns]\namount = "rates"\n', False),
        ('[currency]\n# rates = "rates.csv"\n', False),
        ("", False),
    ],
)
def test_make_up_mounts_the_folder_of_a_map_that_names_rates(content: str, mounts: bool, tmp_path: Path) -> None:
    """No other: the folder may have files that containers must not read."""
    folder = tmp_path / "my maps"
    folder.mkdir()
    (folder / "one.toml").write_text(content)
    assert mounted_by_make(f"{folder}/one.toml") == f"[{folder}/one.toml] [{folder if mounts else ''}]"


def test_only_a_service_with_a_port_has_a_network_that_leads_out_and_shares_it_with_none(stack: Stack) -> None:
    internal = {name for name, network in stack.config["networks"].items() if network.get("internal")}
    assert internal == {"line", "serving"}
    users: dict[str, list[str]] = {}
    for name, service in stack.config["services"].items():
        outside = set(service.get("networks") or {}) - internal
        assert len(outside) == bool(service.get("ports")), name
        assert service.get("networks") or service["network_mode"] == "none", name
        for network in outside:
            users.setdefault(network, []).append(name)
    assert sorted(map(len, users.values())) == [1, 1, 1, 1]


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.usefixtures("stack")
def test_an_image_has_its_own_user_and_no_build_tools(image: str) -> None:
    assert inspect(image)["Config"]["User"] == "10001:10001"
    assert in_image(image, "id -u") == "10001"
    builders = "for tool in uv gcc cc make; do command -v $tool || true; done; ls -d /uv 2>/dev/null || true"
    assert in_image(image, builders) == ""
    assert in_image(image, "find /opt/fraud-relay -name '*.pyc' | wc -l") != "0"
    assert in_image(image, "find /opt/*/lib/python3*/site-packages/pydantic -name '*.pyc' | wc -l") != "0"


@pytest.mark.usefixtures("stack")
def test_the_scorer_s_image_is_small_and_has_no_other_role_s_code() -> None:
    added = megabytes("fraud-relay-scorer") - megabytes(BASE)
    assert added <= SCORER_ADDS_MB
    script = (
        'python -c "from importlib.util import find_spec; '
        "print([name for name in ('airflow', 'pyspark', 'sklearn', 'mlflow', 'pandas') if find_spec(name)])\"; "
        "command -v java || true; ls /opt/fraud-relay; find /opt/fraud-relay/var -mindepth 2 -maxdepth 2"
    )
    kernel = "/opt/fraud-relay/var/cache/kernel"
    assert in_image("fraud-relay-scorer", script).splitlines() == ["[]", "contracts", "serving", "var", kernel]
