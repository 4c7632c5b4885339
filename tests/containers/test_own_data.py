"""The map of your own payments in a container: its path, and the bank's zone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from containers import own_data
from containers.bootstrap import Settings
from containers.own_data import environment_of
from demo.embedded_servers import ROOT
from demo.map_tables import zone_of_map

TOKYO = '[time]\nzone = "Asia/Tokyo"\n'


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the map and its folder are mounted; the map is one of Tokyo."""
    monkeypatch.setattr(own_data, "MAP", tmp_path / "map.toml")
    monkeypatch.setattr(own_data, "MAPS", tmp_path / "maps")
    (tmp_path / "map.toml").write_text(TOKYO)
    (tmp_path / "maps").mkdir()
    return tmp_path


def found(**given: str) -> tuple[str, str]:
    """The path and the zone that a command gets."""
    environment = environment_of(given)
    return environment["MAP"], environment["BANK_ZONE"]


def test_the_zone_of_the_map_is_the_bank_s_unless_one_is_set(mounted: Path) -> None:
    here = str(mounted / "map.toml")
    assert found(MAP="/home/me/my.toml", BANK_ZONE="") == (here, "Asia/Tokyo")
    assert found(MAP="/home/me/my.toml", BANK_ZONE="Europe/Paris") == (here, "Europe/Paris")
    assert found(MAP="", MAP_FOLDER="", BANK_ZONE="") == found() == ("", "UTC")
    assert environment_of({"PATH": "/bin"})["PATH"] == "/bin"


def test_of_your_own_payments_few_days_are_live_unless_a_number_is_set() -> None:
    def live(**given: str) -> str:
        return environment_of(given)["LIVE_DAYS"]

    assert live(DATA="", LIVE_DAYS="") == live() == str(Settings().live_days) == "245"
    assert live(DATA="/data/payments", LIVE_DAYS="") == live(DATA="/data/payments") == "5"
    assert live(DATA="/data/payments", LIVE_DAYS="9") == live(LIVE_DAYS="9") == "9"


@pytest.mark.parametrize("content", ["[time]\nzone = 5\n", "not a map", 'time = "x"\n', "", "[time]\n"])
def test_a_map_that_is_wrong_stops_no_service(content: str, mounted: Path) -> None:
    (mounted / "map.toml").write_text(content)
    assert found(MAP="my.toml") == (str(mounted / "map.toml"), "UTC")


@pytest.mark.parametrize("path", ["/home/me/my.toml", "my.toml", "./my.toml", "C:\\Users\\me\\my.toml"])
def test_the_map_is_in_its_folder_where_its_table_of_rates_is(path: str, mounted: Path) -> None:
    (mounted / "maps/my.toml").write_text(TOKYO)
    assert found(MAP=path, MAP_FOLDER="/home/me") == (str(mounted / "maps/my.toml"), "Asia/Tokyo")
    assert found(MAP=path)[0] == str(mounted / "map.toml")


def test_another_map_of_the_same_name_is_not_taken(mounted: Path) -> None:
    (mounted / "maps/my.toml").write_text('[time]\nzone = "Europe/Paris"\n')
    assert found(MAP="maps/my.toml", MAP_FOLDER="rates") == (str(mounted / "map.toml"), "Asia/Tokyo")


def test_a_map_in_a_private_folder_is_read_where_it_is_mounted_alone(
    mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a home folder, which the containers' user may not search."""

    def denied(method: Any) -> Any:
        def call(path: Path, *given: Any, **named: Any) -> Any:
            if path.parent == mounted / "maps":
                raise PermissionError(13, "Permission denied", str(path))
            return method(path, *given, **named)

        return call

    (mounted / "maps/my.toml").write_text(TOKYO)
    for name in ("stat", "open", "read_bytes"):
        monkeypatch.setattr(Path, name, denied(getattr(Path, name)))
    assert found(MAP="/home/me/my.toml", MAP_FOLDER="/home/me") == (str(mounted / "map.toml"), "Asia/Tokyo")


def test_a_map_that_is_a_link_out_of_its_folder_is_found(mounted: Path) -> None:
    (mounted / "maps/my.toml").symlink_to("/elsewhere/my.toml")
    assert found(MAP="my.toml", MAP_FOLDER=".") == (str(mounted / "map.toml"), "Asia/Tokyo")


def test_the_command_takes_the_place_of_this_process() -> None:
    command = [sys.executable, "-m", "containers.own_data", "sh", "-c", 'echo "$MAP $BANK_ZONE $$"; exit 7']
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "MAP": "my.toml", "BANK_ZONE": "Asia/Tokyo"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        said = process.communicate()[0]
    assert (said, process.returncode) == (f"/data/map.toml Asia/Tokyo {process.pid}\n", 7)


def test_a_byte_order_mark_does_not_hide_the_zone(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(TOKYO, encoding="utf-8-sig")
    assert zone_of_map(tmp_path / "my.toml") == "Asia/Tokyo"
