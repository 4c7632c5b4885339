"""Checking data: the report adds up, says what to write, and ends with the command to run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bank.check_data import Report
from bank.checks.guess import as_toml, guess_map
from bank.checks.profile import Profile
from bank.checks.sample import take_sample
from bank.checks.verdicts import dead_features, training_doubts, training_problems
from bank.errors import DataError
from bank.map_files import parse_map
from contracts.display_ids import display_id
from contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from tests.bank.mapped import csv_feed
from tests.bank.shapes import SHAPES, SIZE, sparkov

ROOT = Path(__file__).parents[2]


def check(folder: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    """The exit code of the command, what it shows, and its JSON."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    command = [sys.executable, "-m", "bank.check_data", *options, "--json"]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr, json.loads(done.stdout) if done.stdout else {}


@pytest.mark.parametrize("name", SHAPES)
def test_public_data_sets_are_known_by_their_columns(name: str, tmp_path: Path) -> None:
    assert guess_map(take_sample(SHAPES[name](tmp_path))).shipped == name


def test_the_report_adds_up_and_ends_with_the_command(tmp_path: Path) -> None:
    path = sparkov(tmp_path)
    path.write_text(path.read_text().replace(",4613314721966,", ",,", 2))
    code, shown, said = check(tmp_path, "--data", "fraudTrain.csv")
    assert code == 0
    assert said["rows_in"] == SIZE == said["payments"] + said["refunds"] + sum(said["refused"].values())
    assert said["refused"] == {"customer_id: missing": 2}
    assert "400 rows = 398 payments + 0 refunds and reversals + 2 rejected" in shown
    assert 'fraudTrain.csv, row 1  cc_num = "(nothing)"' in shown
    assert shown.rstrip().endswith("make demo DATA=fraudTrain.csv MAP=sparkov")
    assert said["command"] == "make demo DATA=fraudTrain.csv MAP=sparkov"
    assert "enough to train on" in shown
    assert "180042946491150" not in shown + json.dumps(said)


def test_a_map_is_guessed_written_and_used(tmp_path: Path) -> None:
    lines = ["payment_id;card_number;shop_name;amount_eur;booking_date;fraud_flag"]
    lines += [
        f"P{row};{4_613_314_721_900 + row % 7};Café {row % 5};{row % 9}.{row % 900 + 100:03},{row % 90 + 10};"
        f"{row // 12 % 28 + 1:02}.01.2024 {row % 24:02}:30:00;{'Y' if row % 30 == 0 else 'N'}"
        for row in range(336)
    ]
    (tmp_path / "export.csv").write_bytes("\n".join(lines).encode("cp1252"))
    code, shown, said = check(tmp_path, "--data", "export.csv")
    assert said["guessed"] == {
        "columns": {
            "transaction_id": "payment_id",
            "customer_id": "card_number",
            "terminal_id": "shop_name",
            "amount": "amount_eur",
            "occurred_at": "booking_date",
            "fraud": "fraud_flag",
        },
        "format": {"encoding": "cp1252", "delimiter": ";", "decimal": ",", "thousands": "."},
        "time": {"format": "%d.%m.%Y %H:%M:%S"},
        "values": {"fraud": {"N": False, "Y": True}},
    }
    assert tomllib.loads((tmp_path / "var/maps/export.toml").read_text()) == said["guessed"]
    assert (code, said["payments"], said["refused"], said["frauds"]) == (0, 336, {}, 12)
    assert "make demo DATA=export.csv MAP=var/maps/export.toml" in shown
    assert check(tmp_path, "--data", "export.csv", "--map", "var/maps/export.toml")[0] == 0


def test_a_file_that_fits_nothing_says_in_one_screen_what_to_write(tmp_path: Path) -> None:
    lines = [",".join(f"col{n}" for n in range(40))]
    lines += [",".join(str(4_613_314_721_966 + n) for n in range(40)) for _ in range(50)]
    (tmp_path / "odd.csv").write_text("\n".join(lines))
    code, shown, said = check(tmp_path, "--data", "odd.csv")
    assert code == 1
    assert len(shown.splitlines()) <= 50
    assert said["lacking"] == ["customer_id", "terminal_id", "amount", "occurred_at"]
    assert "No column was found for customer_id, terminal_id, amount, occurred_at" in shown
    assert 'customer_id = "?"' in shown
    assert "make check-data DATA=odd.csv MAP=my.toml" in shown
    assert "4613314721966" not in shown + json.dumps(said)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Time," + ",".join(f"V{n}" for n in range(1, 29)) + ",Amount,Class", "this is creditcard.csv: its columns V1"),
        ("fraud_bool,income,name_email_similarity,velocity_6h,month", "this is Bank Account Fraud (BAF): it contains"),
    ],
)
def test_data_sets_without_customers_are_named_in_one_line(tmp_path: Path, header: str, words: str) -> None:
    row = ",".join("1" for _ in header.split(","))
    (tmp_path / "x.csv").write_text(f"{header}\n{row}\n")
    code, shown, said = check(tmp_path, "--data", "x.csv")
    assert code == 1
    assert words in shown
    assert len(shown.splitlines()) == 1
    assert said["unusable"].startswith(words)


def test_a_very_long_field_is_reported_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text(f"a,b\n{'x' * 200_000},1\n")
    code, shown, said = check(tmp_path, "--data", "long.csv")
    assert (code, said["lacking"]) == (1, ["customer_id", "terminal_id", "amount", "occurred_at"])
    assert "xx…xx" in shown


def test_a_map_that_does_not_fit_says_so(tmp_path: Path) -> None:
    csv_feed(tmp_path, *(f"{row},7,s,x{row},2024-01-01,0" for row in range(9)))
    (tmp_path / "my.toml").write_text(
        '[columns]\ntransaction_id = "id"\ncustomer_id = "card"\nterminal_id = "shop"\namount = "amount"\n'
        'occurred_at = "time"\n'
    )
    code, shown, said = check(tmp_path, "--data", "payments.csv", "--map", "my.toml")
    assert (code, said["refused"]) == (1, {"amount: not a number": 9})
    assert shown.count("payments.csv, row") == 3
    assert "The map my.toml does not fit: change it as said above" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "error: no data: give DATA=<file or folder>"),
        (["--data", "none.csv"], "error: there is no file or folder none.csv"),
        (["--data", ".", "--map", "sparkow"], "error: there is no map sparkow"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, options: list[str], words: str) -> None:
    code, shown, _ = check(tmp_path, *options)
    assert code == 1
    assert shown.startswith(words)
    assert len(shown.splitlines()) == 1


def profile_of(folder: Path, lines: list[str]) -> Profile:
    feed = csv_feed(folder, *lines)
    profile = Profile(feed.tally)
    for batch in feed.batches():
        profile.add(batch.rows)
    return profile


def test_dead_features_are_named_with_their_cause(tmp_path: Path) -> None:
    rows = [f"{row},{row},shop {row},5.00,2024-01-{row % 5 + 1:02},0" for row in range(60)]
    dead = {one.features: one.why for one in dead_features(profile_of(tmp_path, rows))}
    assert dead[("amount",)] == "all payments have the same amount"
    assert dead[("is_night",)].startswith("all payments are in the hour after midnight")
    assert dead[("is_weekend",)] == "no payments are at the weekend"
    assert dead[CUSTOMER_FEATURES] == "hardly any customer_id repeats (60 in 60 payments)"
    assert dead[TERMINAL_FEATURES].startswith("hardly any terminal_id repeats")
    assert "no payment is labelled as fraud" in dead.values()


def test_night_and_weekend_are_judged_in_the_zone_of_the_map(tmp_path: Path) -> None:
    """Evenings in New York are nights in UTC, and their Fridays Saturdays."""
    rows = [f"{n},{n % 4},s{n % 3},{n}.50,2024-01-{n % 5 + 1:02} 20:00:00,{n % 2}" for n in range(60)]
    feed = csv_feed(tmp_path, *rows, time={"zone": "America/New_York"})
    dead = {one.features: one.why for one in dead_features(Report(feed).profile)}
    assert dead[("is_night",)] == "no payments are at night"
    assert dead[("is_weekend",)] == "no payments are at the weekend"


def test_live_data_has_no_dead_feature_and_can_be_trained_on(tmp_path: Path) -> None:
    days = [f"2024-{month:02}-{day:02}" for month in (1, 2, 3) for day in range(1, 29)]
    rows = [
        f"{place * 9 + n},{n % 4},s{n % 3},{n}.50,{day} {n * 2:02}:00:00,{int(n == 2)}"
        for place, day in enumerate(days)
        for n in range(9)
    ]
    profile = profile_of(tmp_path, rows)
    assert dead_features(profile) == []
    assert training_problems(profile, labelled=True) == []
    assert training_problems(profile, labelled=False)[0].startswith("the map has no fraud column")
    assert [days for _, days in profile.gaps()] == [3, 1]


def test_one_day_and_one_fraud_are_counted_in_the_singular(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, ["1,7,s,1,2024-01-01,1", "2,7,s,1,2024-01-01,0"])
    assert training_problems(profile, labelled=True)[0].startswith("1 day is too few: ")
    assert training_doubts(profile)[0] == "only 1 fraud: the metrics will be unreliable"


def test_repeated_ids_are_counted(tmp_path: Path) -> None:
    assert profile_of(tmp_path, [f"{row % 8},7,s,1,2024-01-01,0" for row in range(10)]).repeated() == 2


def test_payments_that_are_alike_but_for_their_ids_are_counted(tmp_path: Path) -> None:
    rows = [f"{row},{row % 2},s{row % 4},{row % 4}.5,2024-01-01 10:00:0{row % 4},0" for row in range(10)]
    profile = profile_of(tmp_path, rows)
    assert (profile.repeated(), profile.duplicates()) == (0, 6)
    assert "check that no rows were exported twice" in training_doubts(profile)[-1]


def test_a_guess_is_a_map(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "user": f"u{n % 3}",
                    "merchant": n % 2,
                    "total": f"£{n}.10",
                    "date": "2024-01-31",
                    "clock": f"10:{n:02}",
                }
            )
            + "\n"
            for n in range(20)
        )
    )
    guess = guess_map(take_sample(tmp_path))
    assert guess.content["columns"]["occurred_at"] == ["date", "clock"]
    assert guess.content["columns"]["transaction_id"] == "row"
    assert guess.content["format"] == {"prefix": "£"}
    assert parse_map(tomllib.loads(as_toml(guess.content)), tmp_path).columns.customer_id == ("user",)


def test_a_day_that_could_be_a_month_is_said_and_an_edited_map_is_kept(tmp_path: Path) -> None:
    lines = ["id,card,shop,amount,time", *(f"{row},{row % 3},{row % 2},5,0{row % 9 + 1}/02/2024" for row in range(40))]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    assert 'check: the first times have the format "%d/%m/%Y" too' in check(tmp_path, "--data", "x.csv")[1]
    edited = tmp_path / "var/maps/x.toml"
    edited.write_text(edited.read_text().replace("%m/%d", "%d/%m"))
    assert check(tmp_path, "--data", "x.csv")[2]["map"] == "var/maps/x-2.toml"
    assert "%d/%m" in edited.read_text()


def test_display_ids_are_stable_and_differ_by_kind() -> None:
    assert display_id("customer_id", 5117203449120087321) == display_id("customer_id", 5117203449120087321)
    assert display_id("customer_id", 1)[2:] != display_id("terminal_id", 1)[2:]
    assert len({display_id("customer_id", n) for n in range(1_000)}) > 990


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data in"):
        take_sample(tmp_path)
