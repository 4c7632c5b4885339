"""The exploration runs on any lake, its page is self-contained, and its sentences are true."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bank.fraud_patterns import LARGE_CENTS
from bank.simulator import Simulation
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY
from contracts.transaction import FRAUD_PATTERNS
from modeling.errors import ModelingError
from modeling.explore import NOTEBOOK, ROOT, explore
from modeling.runner import run
from modeling.settings import Settings
from tests.modeling.simulated_lake import World, features_of, simulated, write_world

SIZE = Simulation(customers=60, terminals=120, days=50, seed=2)
LARGE, TERMINAL = 1, 2


@pytest.fixture(scope="module")
def world() -> World:
    return simulated(SIZE)


@pytest.fixture(scope="module")
def page(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as the command writes it, for a user without a home folder."""
    folder = tmp_path_factory.mktemp("exploration")
    write_world(folder / "lake", world, patterns=np.where(world.cents > LARGE_CENTS, LARGE, TERMINAL))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LAKE_URI": str(folder / "lake")}
    environment |= {"HOME": "/nonexistent", "JUPYTER_PATH": "/nonexistent"}
    environment |= {name: value for name, value in os.environ.items() if name == "MPLCONFIGDIR"}
    command = [sys.executable, "-m", "modeling.explore", "--out", str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    written = Path(json.loads(done.stdout.splitlines()[-1])["page"])
    assert written == folder / "out/exploration.html"
    assert [path.name for path in (folder / "out").iterdir()] == [written.name]
    return written.read_text()


def text_of(page: str) -> str:
    """The computed sentences of a page, without markup."""
    found = re.findall(r'<div class="output_markdown.*?</div>', page, re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", one)) for one in found)


def said_of(lake: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The notebook's sentences about a lake, run as plain Python."""
    said: list[str] = []
    monkeypatch.setenv("LAKE_URI", str(lake))
    monkeypatch.setattr("IPython.display.Markdown", said.append)
    monkeypatch.setattr("IPython.display.Image", lambda **_: None)
    monkeypatch.setattr("IPython.display.display", lambda _: None)
    # Plots are drawn at low resolution, because they are not inspected.
    monkeypatch.setattr("modeling.notebooks.narrative.DPI", 20)
    runpy.run_path(str(NOTEBOOK))
    return " ".join(said)


def test_the_page_embeds_its_images_and_names_no_host(page: str) -> None:
    pictures = re.findall(r'<img alt="[^"]+" src="data:image/png;base64,[^"]{5000,}"|<img', page)
    assert len(pictures) == 12
    assert all("src=" in picture for picture in pictures)
    assert "://" not in page
    assert not re.search(r"<script|<link|<iframe|@import", page)
    assert page.count("<details>") == len(re.findall(r"^# %%$", NOTEBOOK.read_text(), re.MULTILINE))


def test_its_counts_match_the_lake(page: str, world: World) -> None:
    now = (world.occurred.max() // DAY + 1) * DAY
    settled = world.occurred + LABEL_DELAY <= now
    frauds = world.fraud & settled
    genuine = ~world.fraud & settled
    text = text_of(page)
    assert f"{len(settled):,} payments of {len(np.unique(world.customer_id))} customers" in text
    assert f"{frauds.sum()} payments are known frauds, {100 * frauds.sum() / settled.sum():.3g} %" in text
    assert f"{(~settled).sum():,} payments of the last 7 days cannot be labelled yet" in text
    assert (
        f"median amount is {np.median(world.cents[frauds]) / 100:,.2f} for frauds and "
        f"{np.median(world.cents[genuine]) / 100:,.2f} for genuine payments: frauds are typically larger" in text
    )
    hit, seen = (len(np.unique(world.terminal_id[mask])) for mask in (frauds, settled))
    assert f"{hit} of {seen} terminals with labelled payments" in text
    assert "Labels are as of 2025-02-20 00:00 UTC" in text


def test_the_best_single_feature_matches_a_direct_computation(page: str, world: World) -> None:
    """With so few payments a day that all are in the sample."""
    settled = world.occurred + LABEL_DELAY <= (world.occurred.max() // DAY + 1) * DAY
    features = features_of(world)
    auc = {name: roc_auc_score(world.fraud[settled], features[name][settled]) for name in FEATURES}
    best = max(auc, key=lambda name: abs(auc[name] - 0.5))
    assert f"{best} separates best, AUC {auc[best]:.3f}" in text_of(page)
    assert f"reaches an AUC of {max(auc[best], 1 - auc[best]):.3f}; a model" in text_of(page)


def test_the_page_uses_the_contract_s_time_of_day(page: str, world: World) -> None:
    now = (world.occurred.max() // DAY + 1) * DAY
    then = now - LABEL_DELAY
    recent = world.fraud & (world.occurred < then) & (world.occurred >= then - 21 * DAY)
    hidden = recent & (world.occurred + LABEL_DELAY > then)
    assert 0 < hidden.sum() < recent.sum()
    assert f"{hidden.sum()} of {recent.sum()} frauds of the three weeks before were not yet known" in text_of(page)


def test_each_pattern_is_counted_and_a_missing_one_named(page: str, world: World) -> None:
    settled = world.occurred + LABEL_DELAY <= (world.occurred.max() // DAY + 1) * DAY
    frauds = world.fraud & settled
    large = frauds & (world.cents > LARGE_CENTS)
    text = text_of(page)
    assert f"Large amount: {large.sum()} frauds, {100 * large.sum() / frauds.sum():.3g} % of all" in text
    assert f"Compromised terminal: {(frauds & ~large).sum()} frauds" in text
    assert f"Patterns without any known report: {FRAUD_PATTERNS[3]}." in text


def test_reports_without_patterns_and_few_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_world(tmp_path, simulated(replace(SIZE, days=25)))
    text = said_of(tmp_path, monkeypatch)
    assert "The fraud reports of this lake have no patterns." in text
    assert "the two intervals" in text
    assert "nan" not in text


@pytest.mark.parametrize("frauds", [0, 4])
def test_with_hardly_any_fraud_it_says_that_there_is_too_little_to_conclude(
    frauds: int, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_world(tmp_path, replace(world, fraud=np.arange(len(world.fraud)) < frauds))
    text = said_of(tmp_path, monkeypatch)
    assert text.count(f"labelled payments {frauds} are known frauds: too few for this section.") == 6
    assert "separates best" not in text


def test_all_payments_too_recent_for_a_label_and_all_amounts_equal(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = simulated(replace(SIZE, days=6))
    write_world(tmp_path / "young", few)
    text = said_of(tmp_path / "young", monkeypatch)
    assert "No payment is old enough to be labelled." in text
    assert "There are no two complete weeks to compare." in text
    write_world(tmp_path / "alike", replace(world, cents=np.zeros_like(world.cents)))
    assert "frauds are typically as large" in said_of(tmp_path / "alike", monkeypatch)


@pytest.mark.parametrize(
    ("code", "said"), [("1 / 0", "ZeroDivisionError: division by zero"), ("import os; os._exit(3)", "Kernel died")]
)
def test_a_broken_cell_ends_it_with_one_line_that_names_the_cell(
    code: str, said: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_world(tmp_path / "lake", world)
    # What every command of modelling sets for its process.
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    notebook = tmp_path / "broken.py"
    notebook.write_text(f'# %%\nprint(1)\n\n# %% [markdown]\n"""\n## Where it breaks\n"""\n\n# %%\n{code}\n')
    settings = Settings(lake_uri=str(tmp_path / "lake"))
    before = dict(os.environ)
    with pytest.raises(SystemExit) as ended:
        run(partial(explore, settings, tmp_path / "out", notebook))
    assert str(ended.value.code).startswith(f"error: cell 2 (Where it breaks) failed ({said}")
    assert "\n" not in str(ended.value.code)
    assert not (tmp_path / "out").exists()
    assert dict(os.environ) == before


def test_without_a_lake_it_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(lake_uri=str(tmp_path / "none"))
    with pytest.raises(ModelingError, match=r"no features in .*none/features \(LAKE_URI\): run `make demo` first"):
        explore(settings, tmp_path)


def test_a_lake_without_clean_payments(world: World, tmp_path: Path) -> None:
    from modeling.notebooks.payments import read_lake

    write_world(tmp_path, simulated(replace(SIZE, days=3)))
    shutil.rmtree(tmp_path / "clean")
    with pytest.raises(ModelingError, match=r"no clean for .*: run validate over these days first"):
        read_lake(tmp_path)
