"""Pickles: only data frames can be read from them."""

from __future__ import annotations

import builtins
import copyreg
import os
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.core.internals import BlockManager

from bank.errors import DataError
from bank.pickle_files import read_frame
from bank.pickle_guards import GUARDS
from bank.pickle_names import ALLOWED, PLAIN
from bank.published_feed import PublishedFeed
from tests.bank.frames import frame
from tests.bank.test_published_feed import NOW

AS_PUBLISHED = frame().astype({"CUSTOMER_ID": str, "TERMINAL_ID": str}).assign(TX_TIME_DAYS=0).iloc[2:9]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("with_index", [True, False])
def test_a_frame_of_any_protocol_is_read(tmp_path: Path, protocol: int, with_index: bool) -> None:
    expected = AS_PUBLISHED if with_index else AS_PUBLISHED.reset_index(drop=True)
    expected.sample(frac=1, random_state=1).to_pickle(tmp_path / "2018-04-01.pkl", protocol=protocol)
    found = read_frame(tmp_path / "2018-04-01.pkl")
    pd.testing.assert_frame_equal(found.sort_index(), expected)


class _OfClass:
    """Pickles as an object whose class has an older form of state."""

    def __init__(self, of: type, state: object) -> None:
        self._of, self._state = of, state

    @property  # type: ignore[misc]  # what pickle takes it for
    def __class__(self) -> Any:
        return self._of

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return copyreg.__newobj__, (self._of,), self._state  # type: ignore[attr-defined]


def test_a_frame_of_an_old_pandas_is_read(tmp_path: Path) -> None:
    """Pandas before 1.3, which wrote the published data, stored a frame's blocks as a tuple."""
    blocks = [{"values": np.asarray(b.values), "mgr_locs": b.mgr_locs.indexer} for b in AS_PUBLISHED._mgr.blocks]
    axes = list(AS_PUBLISHED._mgr.axes)
    names = [AS_PUBLISHED.columns[block["mgr_locs"]] for block in blocks]
    state = (axes, [block["values"] for block in blocks], names, {"0.14.1": {"axes": axes, "blocks": blocks}})
    parts = {"_mgr": _OfClass(BlockManager, state), "_typ": "dataframe", "_metadata": [], "attrs": {}}
    (tmp_path / "2018-04-01.pkl").write_bytes(pickle.dumps(_OfClass(pd.DataFrame, parts), protocol=4))
    pd.testing.assert_frame_equal(read_frame(tmp_path / "2018-04-01.pkl"), AS_PUBLISHED)


class Calls:
    """Calls a function when unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


ATTACKS = {
    "a command": Calls(os.system, "touch attacked"),
    "a command inside a frame": pd.DataFrame({"TX_AMOUNT": [Calls(os.system, "touch attacked")]}),
    "evaluation": Calls(builtins.eval, "open('attacked', 'w')"),
    "evaluation by pandas": Calls(pd.eval, "1 + 1"),
    "a file read by pandas": Calls(pd.read_pickle, "inner.pkl"),
    "a file read by numpy": Calls(np.load, "inner.npy"),
    "a file written by numpy": Calls(np.save, "attacked", np.zeros(1)),
    "a method of a frame": Calls(getattr, pd.DataFrame, "to_csv"),
    "a partial": partial(os.system, "touch attacked"),
    "an import": Calls(__import__, "os"),
    "a constructor": Calls(copyreg._reconstructor, pd.DataFrame, dict, {}),  # type: ignore[attr-defined]
    "an attribute of an allowed class": Calls(getattr, pd.Timestamp, "strptime"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2018-04-01.pkl").write_bytes(pickle.dumps(ATTACKS[attack], protocol=protocol))
    with pytest.raises(DataError, match=r"2018-04-01\.pkl cannot be read .* refers to .*, which no data frame needs"):
        PublishedFeed(tmp_path, NOW).days()
    assert [path.name for path in tmp_path.iterdir()] == ["2018-04-01.pkl"]


def test_a_dotted_name_does_not_reach_into_an_allowed_module(tmp_path: Path) -> None:
    def text(value: str) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value.encode()

    reaching = b"\x80\x04" + text("pandas.core.frame") + text("DataFrame.to_csv") + b"\x93."
    (tmp_path / "2018-04-01.pkl").write_bytes(reaching)
    with pytest.raises(DataError, match=r"DataFrame\.to_csv, which no data frame needs"):
        read_frame(tmp_path / "2018-04-01.pkl")


def test_allowed_names_are_of_pandas_or_numpy_or_plain_values() -> None:
    assert {module.split(".")[0] for module, _ in ALLOWED - PLAIN} == {"numpy", "pandas", "pyarrow"}
    assert {name for module, name in PLAIN if "builtin" in module} == {"slice", "bytearray", "object"}
    assert not ALLOWED & GUARDS.keys()


@pytest.mark.parametrize("value", ["text", {"TX_AMOUNT": [1.0]}, [1, 2]])
def test_a_pickle_without_a_data_frame_is_named(tmp_path: Path, value: object) -> None:
    (tmp_path / "2018-04-01.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match=rf"contains a {type(value).__name__}, not a data frame"):
        PublishedFeed(tmp_path, NOW).days()


def test_a_damaged_pickle_is_named(tmp_path: Path) -> None:
    frame().to_pickle(tmp_path / "2018-04-01.pkl")
    content = (tmp_path / "2018-04-01.pkl").read_bytes()
    (tmp_path / "2018-04-01.pkl").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"2018-04-01\.pkl cannot be read as a pickled data frame"):
        PublishedFeed(tmp_path, NOW).days()


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (frame().drop(columns="TX_FRAUD"), r"2018-04-01\.pkl lacks the column TX_FRAUD"),
        (frame().assign(TX_AMOUNT=["x"] + [1.0] * 11), r"the column TX_AMOUNT of .*2018-04-01\.pkl cannot be read"),
        (frame().assign(TX_AMOUNT="12.5"), r"the column TX_AMOUNT of .*2018-04-01\.pkl has type string"),
        (frame().assign(CUSTOMER_ID=["1"] + [1] * 11), r"the column CUSTOMER_ID of .*2018-04-01\.pkl cannot be read"),
    ],
)
def test_a_pickle_with_a_wrong_column_is_named(tmp_path: Path, spoilt: pd.DataFrame, words: str) -> None:
    spoilt.to_pickle(tmp_path / "2018-04-01.pkl")
    with pytest.raises(DataError, match=words):
        PublishedFeed(tmp_path, NOW).days()
