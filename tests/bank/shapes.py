"""Small files in the shapes of public data sets: their headers, quoting, order and ways to write values."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

START = datetime(2019, 1, 1)
SIZE = 400


def at(row: int, days: int = 40, size: int = SIZE) -> datetime:
    """The time of a row, rows spread evenly over some days."""
    return START + timedelta(seconds=round(row * days * 86_400 / size))


def write(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def sparkov(folder: Path, size: int = SIZE) -> Path:
    """fraudTrain.csv: an unnamed index first, card numbers, quoted names of merchants with commas."""
    draw = random.Random(1)
    header = (
        ",trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,city_pop,"
        "job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud"
    )
    lines = [header]
    for row in range(size):
        card = (4_613_314_721_966, 180_042_946_491_150, 6_011_438_889_172_900, 60_416_207_185)[row % 4]
        merchant = '"fraud_Rippin, Kub and Mann"' if row % 3 else "fraud_Kirlin and Sons"
        lines.append(
            f"{row},{at(row, size=size):%Y-%m-%d %H:%M:%S},{card},{merchant},misc_net,{draw.randint(100, 9_999) / 100},"
            f'Jo,Banks,F,561 Perry Cove,Moravian Falls,NC,28654,36.0788,-81.1781,3495,"Psychologist, counselling",'
            f"1988-03-09,{draw.getrandbits(128):032x},1325376018,36.011293,-82.048315,{int(row % 20 == 0)}"
        )
    return write(folder / "fraudTrain.csv", lines)


def tabformer(folder: Path, size: int = SIZE) -> Path:
    """card_transaction.v1.csv: amounts as `$-12.50`, the time in four columns, merchants as signed 19-digit numbers."""
    header = "User,Card,Year,Month,Day,Time,Amount,Use Chip,Merchant Name,Merchant City,Merchant State,Zip,MCC,"
    header += "Errors?,Is Fraud?"
    lines = [header]
    for row in range(size):
        moment = at(row, size=size)
        merchant = (3527213246127876953, -727612092139916043, 99999999999)[row % 3]
        amount = "$-99.00" if row % 50 == 7 else f"${row % 90 + 0.91:.2f}"
        errors, fraud = "Bad PIN" if row == 3 else "", "Yes" if row % 20 == 0 else "No"
        lines.append(
            f"{row % 5},{row % 2},{moment.year},{moment.month},{moment.day},{moment:%H:%M},{amount},Swipe Transaction,"
            f"{merchant},La Verne,CA,91750.0,5300,{errors},{fraud}"
        )
    return write(
        folder / "card_transaction.v1.csv", [line.replace("Technical Glitch,,", '"Bad PIN,Glitch",') for line in lines]
    )


def paysim(folder: Path, size: int = SIZE) -> Path:
    """Steps of an hour, accounts as text, amounts far above the contract's."""
    lines = [
        "step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud"
    ]
    for row in range(size):
        amount = 10_000_000.5 if row == 9 else row + 0.64
        lines.append(
            f"{1 + row * 40 * 24 // size},PAYMENT,{amount},C{1231006815 + row % 7},170136.0,160296.36,"
            f"M{1979787155 + row % 5},0.0,0.0,{int(row % 20 == 0)},0"
        )
    return write(folder / "PS_20174392719_1491204439457_log.csv", lines)


def s_ffsd(folder: Path, size: int = SIZE) -> Path:
    """Time is the number of the payment; label 2 is unlabelled."""
    lines = ["Time,Source,Target,Amount,Location,Type,Labels"]
    for row in range(size):
        label = 1 if row % 20 == 0 else (0, 2, 2)[row % 3]
        lines.append(f"{row * 40 * 1440 // size},S{10_000 + row % 9},T{1_000 + row % 4},{row / 4},L100,TP100,{label}")
    return write(folder / "S-FFSD.csv", lines)


def ieee_cis(folder: Path, size: int = SIZE) -> Path:
    """train_transaction.csv: seconds since an unknown day, cards as several columns, of which some are empty."""
    lines = [
        "TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,card2,card3,card4,card5,card6,addr1,addr2,"
        "dist1,dist2,P_emaildomain,R_emaildomain,C1"
    ]
    for row in range(size):
        card2 = "" if row % 6 == 0 else "404.0"
        amount, mail = row + (0.5 if row % 10 else 0.125), "" if row % 4 == 0 else "gmail.com"
        lines.append(
            f"{2_987_000 + row},{int(row % 20 == 0)},{86_400 + row * 40 * 86_400 // size},{amount},"
            f"W,{13_926 + row % 6},{card2},150.0,discover,142.0,credit,{'' if row % 7 == 0 else '315.0'},87.0,19.0,,"
            f"{mail},,1.0"
        )
    return write(folder / "train_transaction.csv", lines)


def handbook(folder: Path, size: int = SIZE) -> Path:
    """The Handbook's columns, as pandas writes a frame to CSV."""
    lines = [
        ",TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO"
    ]
    for row in range(size):
        lines.append(f"{row},{row},{at(row, size=size)},{row % 9},{row % 5},{row / 8},31,0,{int(row % 20 == 0)},0")
    return write(folder / "handbook.csv", lines)


SHAPES = {
    "sparkov": sparkov,
    "tabformer": tabformer,
    "paysim": paysim,
    "s-ffsd": s_ffsd,
    "ieee-cis": ieee_cis,
    "handbook": handbook,
}
