"""Files in the shapes of public data sets: their headers, quoting, order and ways to write values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

SIZE = 400
SAMPLE_DAYS = 40


@dataclass(frozen=True)
class Payment:
    """A row of any shape; a label of None is unknown, an amount of None is an empty cell."""

    number: int
    at: datetime
    customer: int
    terminal: int
    amount: float | None
    fraud: bool | None = False


@dataclass(frozen=True)
class Shape:
    """One data set: its file's name and header, how it writes a row, and a row of its sample."""

    file: str
    header: str
    line: Callable[[Payment], str]
    sampled: Callable[[int, datetime], Payment]
    start: datetime = datetime(2019, 1, 1)

    def __call__(self, folder: Path, size: int = SIZE) -> Path:
        """A small file, its rows spread evenly over 40 days."""
        seconds = (round(row * SAMPLE_DAYS * 86_400 / size) for row in range(size))
        rows = (self.sampled(row, self.start + timedelta(seconds=second)) for row, second in enumerate(seconds))
        return self.write(folder, rows)

    def write(self, folder: Path, payments: Iterable[Payment], encoding: str = "utf-8") -> Path:
        """A file of these payments, in their order."""
        path = folder / self.file
        lines = [self.header, *map(self.line, payments)]
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path


def text(value: object) -> str:
    """A cell, empty for None."""
    return "" if value is None else str(value)


def label(fraud: bool | None) -> str:
    """A label as 0 and 1, empty for None."""
    return "" if fraud is None else str(int(fraud))


CARDS = (4_613_314_721_966, 180_042_946_491_150, 6_011_438_889_172_900, 60_416_207_185)


def sparkov_line(paid: Payment) -> str:
    card = CARDS[paid.customer % 4] + paid.customer // 4 * 7_919
    number = f" {paid.terminal}" if paid.terminal > 1 else ""
    merchant = f'"fraud_Rippin, Kub and Mann{number}"' if paid.terminal else "fraud_Kirlin and Sons"
    return (
        f"{paid.number},{paid.at:%Y-%m-%d %H:%M:%S},{card},{merchant},misc_net,{text(paid.amount)},Jo,Banks,F,"
        f'561 Perry Cove,Moravian Falls,NC,28654,36.0788,-81.1781,3495,"Psychologist, counselling",1988-03-09,'
        f"{hashlib.md5(str(paid.number).encode()).hexdigest()},1325376018,36.011293,-82.048315,{label(paid.fraud)}"
    )


MERCHANTS = (3527213246127876953, -727612092139916043, 99999999999)


def tabformer_line(paid: Payment) -> str:
    merchant = MERCHANTS[paid.terminal % 3] + paid.terminal // 3 * 2_654_435_761
    amount = "" if paid.amount is None else f"${paid.amount:.2f}"
    errors = '"Bad PIN,Insufficient Balance"' if paid.number == 3 else ""
    fraud = "" if paid.fraud is None else ("No", "Yes")[paid.fraud]
    at = paid.at
    return (
        f"{paid.customer // 2},{paid.customer % 2},{at.year},{at.month},{at.day},{at:%H:%M},{amount},"
        f"Swipe Transaction,{merchant},La Verne,CA,91750.0,5300,{errors},{fraud}"
    )


def paysim_line(paid: Payment) -> str:
    step = (paid.at - PAYSIM_ORIGIN) // timedelta(hours=1)
    return (
        f"{step},PAYMENT,{text(paid.amount)},C{1231006815 + paid.customer},170136.0,160296.36,"
        f"M{1979787155 + paid.terminal},0.0,0.0,{label(paid.fraud)},0"
    )


PAYSIM_ORIGIN = datetime(2017, 1, 1)


def s_ffsd_line(paid: Payment) -> str:
    minute = (paid.at - S_FFSD_START) // timedelta(minutes=1)
    unlabelled = "2" if paid.fraud is None else label(paid.fraud)
    return f"{minute},S{10_000 + paid.customer},T{1_000 + paid.terminal},{text(paid.amount)},L100,TP100,{unlabelled}"


S_FFSD_START = datetime(2019, 1, 1)


def ieee_cis_line(paid: Payment) -> str:
    second = 86_400 + (paid.at - IEEE_START) // timedelta(seconds=1)
    card2, area = "" if paid.customer % 6 == 0 else "404.0", "" if paid.customer % 7 == 0 else "315.0"
    mail = "" if paid.terminal == 0 else "gmail.com" if paid.terminal == 1 else f"mail{paid.terminal}.com"
    return (
        f"{2_987_000 + paid.number},{label(paid.fraud)},{second},{text(paid.amount)},W,{13_926 + paid.customer},"
        f"{card2},150.0,discover,142.0,credit,{area},87.0,19.0,,{mail},,1.0"
    )


IEEE_START = datetime(2017, 12, 2)


def handbook_line(paid: Payment) -> str:
    return (
        f"{paid.number},{paid.number},{paid.at},{paid.customer},{paid.terminal},{text(paid.amount)},31,0,"
        f"{label(paid.fraud)},0"
    )


def is_fraud(row: int) -> bool:
    """One row in twenty of a sample."""
    return row % 20 == 0


sparkov = Shape(
    "fraudTrain.csv",
    ",trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,city_pop,"
    "job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud",
    sparkov_line,
    lambda row, at: Payment(row, at, row % 4, int(row % 3 > 0), (100 + row * 37) / 100, is_fraud(row)),
)
"""An unnamed index first, card numbers, quoted names of merchants with commas."""

tabformer = Shape(
    "card_transaction.v1.csv",
    "User,Card,Year,Month,Day,Time,Amount,Use Chip,Merchant Name,Merchant City,Merchant State,Zip,MCC,Errors?,"
    "Is Fraud?",
    tabformer_line,
    lambda row, at: Payment(row, at, row % 10, row % 3, -99.0 if row % 50 == 7 else row % 90 + 0.91, is_fraud(row)),
)
"""Amounts as `$-12.50`, the time in four columns, merchants as signed 19-digit numbers."""

paysim = Shape(
    "PS_20174392719_1491204439457_log.csv",
    "step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud",
    paysim_line,
    lambda row, at: Payment(row, at, row % 7, row % 5, 10_000_000.5 if row == 9 else row + 0.64, is_fraud(row)),
    PAYSIM_ORIGIN + timedelta(hours=1),
)
"""Steps of an hour, accounts as text, amounts far above the contract's."""

s_ffsd = Shape(
    "S-FFSD.csv",
    "Time,Source,Target,Amount,Location,Type,Labels",
    s_ffsd_line,
    lambda row, at: Payment(
        row, at, row % 9, row % 4, row / 4, True if is_fraud(row) else (False, None, None)[row % 3]
    ),
    S_FFSD_START,
)
"""Time is the number of the payment; label 2 is unlabelled."""

ieee_cis = Shape(
    "train_transaction.csv",
    "TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,card2,card3,card4,card5,card6,addr1,addr2,"
    "dist1,dist2,P_emaildomain,R_emaildomain,C1",
    ieee_cis_line,
    lambda row, at: Payment(row, at, row % 24, int(row % 4 > 0), row + (0.5 if row % 10 else 0.125), is_fraud(row)),
    IEEE_START,
)
"""Seconds since an unknown day, cards as several columns, of which some are empty."""

handbook = Shape(
    "handbook.csv",
    ",TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO",
    handbook_line,
    lambda row, at: Payment(row, at, row % 9, row % 5, row / 8, is_fraud(row)),
)
"""The Handbook's columns, as pandas writes a frame to CSV."""

SHAPES = {
    "sparkov": sparkov,
    "tabformer": tabformer,
    "paysim": paysim,
    "s-ffsd": s_ffsd,
    "ieee-cis": ieee_cis,
    "handbook": handbook,
}
