"""Which files of a folder are read, and what is said of the others."""

from __future__ import annotations

import bz2
import gzip
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bank.data_files import data_files
from bank.errors import DataError
from bank.published_feed import PublishedFeed
from tests.bank.frames import frame
from tests.bank.test_published_feed import NOW, rows_of


def names(root: Path) -> list[str]:
    return [file.name for file in data_files(root)]


@pytest.mark.parametrize(
    "name",
    [
        "a.parquet", "a.PARQUET", "a.pq", "a.parq", "a.snappy.parquet", "part-00000-6f.c000", "2018-04-01",
        "payments.parquet/part-0.parquet", "2018/04/01.parquet", "a.parquet.d/b.PQ", "000000_0",
        "a.parquet.gzip", "a.parquet.SNAPPY",
    ],
)  # fmt: skip
def test_parquet_is_read_from_any_name_and_sub_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    frame().to_parquet(tmp_path / name)
    assert names(tmp_path) == [name]
    assert rows_of(tmp_path)["transaction_id"].to_pylist() == list(range(12))


@pytest.mark.parametrize(
    "name",
    [
        "a.pkl", "a.PKL", "a.pickle", "2018.04.01.pickle", "days/a.pkl", "a.pkl.gz", "a.pickle.bz2", "a.pkl.xz",
        "a.pkl.zip", "a.pkl.GZIP",
    ],
)  # fmt: skip
def test_pickles_are_read_from_any_name_and_compression(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    frame().to_pickle(tmp_path / name)
    assert names(tmp_path) == [name]
    assert rows_of(tmp_path)["transaction_id"].to_pylist() == list(range(12))


def test_a_compressed_pickle_is_known_by_its_content(tmp_path: Path) -> None:
    """Also one that is compressed with Zstandard, which Python 3.11 does not know."""
    frame(1).to_pickle(tmp_path / "plain.bin")
    content = (tmp_path / "plain.bin").read_bytes()
    (tmp_path / "1.pkl").write_bytes(gzip.compress(content))
    (tmp_path / "2.pkl").write_bytes(bz2.compress(content))
    with pa.output_stream(str(tmp_path / "3.pkl"), compression="zstd") as stream:
        stream.write(content)
    assert len(rows_of(tmp_path)) == 12


def test_what_spark_leaves_beside_the_data_is_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "payments.parquet"
    (folder / "_temporary/0").mkdir(parents=True)
    for name in ("_SUCCESS", "_metadata", "._SUCCESS.crc", ".part-0.parquet.crc", ".DS_Store"):
        (folder / name).touch()
    (folder / "_temporary/0/part-1.parquet").write_bytes(b"half of a file")
    (folder / "part-0.parquet").touch()
    frame().to_parquet(folder / "part-0.parquet")
    assert names(tmp_path) == ["payments.parquet/part-0.parquet"]
    assert capsys.readouterr().err == (
        "ignored: payments.parquet/_temporary: left by a write that was stopped (if rows are missing, write the data "
        "again)\n"
    )


def test_other_and_hidden_files_are_named_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame().to_parquet(tmp_path / "payments.parquet")
    frame().to_parquet(tmp_path / ".hidden.parquet")
    for name in ("a.csv", "b.csv", "c.json", "d.parquet.gz", "e.pkl.tar"):
        (tmp_path / name).write_text("x")
    frame(start="2019-01-01").to_parquet(tmp_path / "payments.parquet.bak")
    assert names(tmp_path) == ["payments.parquet"]
    assert capsys.readouterr().err.splitlines() == [
        "ignored: a.csv, b.csv, c.json and 3 more: not named as Parquet or pickles (to load payments in them, save "
        "them as .parquet)",
        'ignored: .hidden.parquet: hidden by the "." or "_" at the beginning (to load them, rename them)',
    ]


def test_values_in_the_names_of_folders_are_columns(tmp_path: Path) -> None:
    """As of `partitionBy("TX_FRAUD", "CUSTOMER_ID")`; other partitions, such as the day, are not needed."""
    payments = frame()
    for (fraud, customer), part in payments.groupby(["TX_FRAUD", "CUSTOMER_ID"]):
        folder = tmp_path / "day=2018-04-01" / f"TX_FRAUD={fraud}" / f"CUSTOMER_ID={customer}"
        folder.mkdir(parents=True)
        part.drop(columns=["TX_FRAUD", "CUSTOMER_ID"]).to_parquet(folder / "part-0.parquet")
    rows = rows_of(tmp_path).sort_by("transaction_id")
    assert rows["customer_id"].to_pylist() == payments["CUSTOMER_ID"].tolist()
    assert rows["fraud"].to_pylist() == payments["TX_FRAUD"].astype(bool).tolist()


@pytest.mark.parametrize(("value", "read"), [("true", True), ("False", False), ("1", True), ("%30", False)])
def test_a_flag_in_the_name_of_a_folder_is_read(tmp_path: Path, value: str, read: bool) -> None:
    (tmp_path / f"TX_FRAUD={value}").mkdir()
    frame().drop(columns="TX_FRAUD").to_parquet(tmp_path / f"TX_FRAUD={value}/a.parquet")
    assert set(rows_of(tmp_path)["fraud"].to_pylist()) == {read}


def test_a_missing_value_in_the_name_of_a_folder_is_null(tmp_path: Path) -> None:
    folder = tmp_path / "CUSTOMER_ID=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir()
    frame().drop(columns="CUSTOMER_ID").to_parquet(folder / "a.parquet")
    assert rows_of(tmp_path)["customer_id"].null_count == 12


def test_equal_files_of_two_partitions_are_no_copies(tmp_path: Path) -> None:
    for customer in (1, 2):
        (tmp_path / f"CUSTOMER_ID={customer}").mkdir()
        frame().drop(columns="CUSTOMER_ID").to_parquet(tmp_path / f"CUSTOMER_ID={customer}/a.parquet")
    assert rows_of(tmp_path)["customer_id"].to_pylist() == [1] * 12 + [2] * 12
    assert len({batch.source for batch in PublishedFeed(tmp_path, NOW).batches()}) == 2


def test_links_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    frame().to_parquet(tmp_path / "elsewhere/file")
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.parquet").symlink_to(tmp_path / "elsewhere/file")
    (data / "loop").symlink_to(data)
    assert names(data) == ["a.parquet"]
    (data / "more").symlink_to(tmp_path / "elsewhere")
    assert names(data) == ["a.parquet", "more/file"]
    assert len(rows_of(data)) == 12


@pytest.mark.parametrize("name", ["a.parquet", "a.pkl"])
def test_a_link_to_nothing_and_a_pipe_are_named(tmp_path: Path, name: str) -> None:
    frame().to_parquet(tmp_path / "good.parquet")
    (tmp_path / name).symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=rf"{name} is not a regular file, or is a broken link: remove it"):
        names(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name} is not a regular file"):
        names(tmp_path)


@pytest.mark.parametrize(
    ("mark", "kind"),
    [
        ("_delta_log/0.json", "Delta Lake"),
        (".hoodie/hoodie.properties", "Hudi"),
        ("metadata/v1.metadata.json", "Iceberg"),
    ],
)
def test_a_table_with_versions_is_not_read_file_by_file(tmp_path: Path, mark: str, kind: str) -> None:
    frame().to_parquet(tmp_path / "part-0.parquet")
    (tmp_path / mark).parent.mkdir()
    (tmp_path / mark).write_text("{}")
    with pytest.raises(DataError, match=rf"is a table of {kind}, .*: export its current rows as Parquet"):
        names(tmp_path)


def test_a_single_file_is_read(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    frame(start="2019-01-01").to_parquet(tmp_path / "b.parquet")
    assert len(rows_of(tmp_path / "a.parquet")) == 12


@pytest.mark.parametrize("name", ["b.parquet", "b.pkl"])
@pytest.mark.parametrize("columns", [list(frame().columns), []])
def test_a_file_without_rows_is_a_day_without_payments(tmp_path: Path, name: str, columns: list[str]) -> None:
    """Such frames have no types either: pandas gives all columns the type object."""
    frame().to_parquet(tmp_path / "a.parquet")
    empty = pd.DataFrame(columns=columns)
    (empty.to_parquet if name.endswith("t") else empty.to_pickle)(tmp_path / name)  # type: ignore[operator]
    assert len(rows_of(tmp_path)) == 12
    frame().iloc[:0].to_parquet(tmp_path / "c.parquet")
    frame().iloc[:0].to_pickle(tmp_path / "c.pkl")
    assert len(rows_of(tmp_path)) == 12


def test_a_folder_without_any_row_is_named(tmp_path: Path) -> None:
    frame().iloc[:0].to_parquet(tmp_path / "a.parquet")
    frame().iloc[:0].to_pickle(tmp_path / "b.pkl")
    with pytest.raises(DataError, match=rf"no payments in {tmp_path}: its files have no rows"):
        PublishedFeed(tmp_path, NOW).days()


def test_pickles_of_features_are_ignored_like_parquet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame().to_pickle(tmp_path / "a.pkl")
    frame().assign(TX_DURING_NIGHT=0).to_pickle(tmp_path / "features.pkl")
    pd.DataFrame({"NAME": ["x"]}).to_pickle(tmp_path / "names.pkl")
    feed = PublishedFeed(tmp_path, NOW)
    assert feed.total() == len(rows_of(tmp_path)) == 12
    list(feed.batches())
    said = capsys.readouterr().err
    assert "ignored: features.pkl contains features" in said
    assert "ignored: names.pkl has none of the payment columns" in said


def test_one_line_says_that_nothing_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "payments.csv").write_text("TRANSACTION_ID\n1\n")
    with pytest.raises(DataError, match=r"no payments in .*: put Parquet files or daily pickles"):
        PublishedFeed(tmp_path, NOW).days()
    assert "ignored: payments.csv: not named as Parquet or pickles" in capsys.readouterr().err


def test_metadata_beside_the_data_is_not_needed(tmp_path: Path) -> None:
    pq.write_to_dataset(pa.Table.from_pandas(frame()), tmp_path / "x.parquet", partition_cols=["TX_FRAUD_SCENARIO"])
    assert len(rows_of(tmp_path)) == 12
