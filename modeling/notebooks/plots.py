"""The exploration's plots: pure functions from data to matplotlib figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from contracts.labels import LABEL_DELAY_DAYS
from contracts.transaction import FRAUD_PATTERNS
from modeling.notebooks.drift import Drift
from modeling.notebooks.payments import Frame
from modeling.notebooks.statistics import Clusters, bands, fraud_shares

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENUINE: Final = "#4c78a8"
FRAUD: Final = "#e45756"
UNSETTLED: Final = "#bab0ac"
WIDTH: Final = 10.0
HEIGHT: Final = 3.8
TOP_ENTITIES: Final = 25
LOG_BINS: Final = 60


def imbalance(counts: dict[str, int], amounts: dict[str, float]) -> Figure:
    """Payments and their amounts by class, on logarithmic axes."""
    figure, (left, right) = _figure(2, height=2.6)
    for axes, values, title in ((left, counts, "Payments"), (right, amounts, "Amount, sum")):
        bars = axes.barh(list(values), list(values.values()), color=[GENUINE, FRAUD, UNSETTLED])
        axes.bar_label(bars, labels=[f" {value:,.0f}" for value in values.values()])
        most = max(1, *values.values())
        axes.set(title=title, xlim=(1, 50 * most), xscale="log" if most > 1 else "linear", xlabel="logarithmic axis")
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
    return figure


def two_classes(values: Frame, payments: Frame, name: str) -> Figure:
    """The distribution of positive values in both classes, logarithmic, and the fraud share by decile."""
    figure, (left, right) = _figure(2)
    positive = values > 0
    edges = _log_edges(values[positive])
    for mask, label, colour in ((~payments["fraud"], "genuine", GENUINE), (payments["fraud"], "fraud", FRAUD)):
        some = values[positive & mask]
        if len(some):
            left.hist(some, edges, weights=np.full(len(some), 1 / len(some)), color=colour, alpha=0.6, label=label)
    left.set(title=f"{name.capitalize()} by class", xlabel=f"{name} (log)", ylabel="share of the class")
    # Without the smallest thousandth, which would take half of the axis.
    if positive.any():
        left.set(xscale="log", xlim=(values[positive].quantile(0.001), None))
        left.legend(loc="upper left")
    table = fraud_shares(payments[values.notna()], bands(values[values.notna()]))
    _share_points(right, np.arange(len(table)), table)
    right.set_xticks(np.arange(len(table)), [_short(band.right) for band in table.index], rotation=45)
    right.set(title="Fraud share by decile", xlabel=f"{name}, upper end of the decile")
    return figure


def hours_and_weekdays(hours: Frame, weekdays: Frame) -> Figure:
    """Payments (`a_day`) and fraud share by hour and by weekday."""
    figure, axes = _figure(4, rows=2, height=6.0)
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    for column, (table, label) in enumerate(((hours, "hour of the day, UTC"), (weekdays, "weekday"))):
        above, below = axes[column], axes[column + 2]
        above.bar(table.index, table["a_day"], color=GENUINE)
        above.set(title=f"Payments by {label}", ylabel="payments, mean per day")
        _share_points(below, table.index, table)
        below.set(title=f"Fraud share by {label}", xlabel=label)
        for one in (above, below) if table is weekdays else ():
            one.set_xticks(table.index, [names[number] for number in table.index])
    return figure


def days(counts: Frame, shares: Frame, settled_until: Any) -> Figure:
    """The payments of each day and the fraud share of the settled ones; days that are not settled are grey."""
    figure, (above, below) = _figure(2, rows=2, height=5.2, sharex=True)
    above.plot(counts.index, counts, color=GENUINE)
    above.set(title="Payments of each day", ylabel="payments", ylim=(0, 1.1 * counts.max()))
    below.plot(shares.index, 100 * shares["share"], color=FRAUD)
    below.fill_between(shares.index, 100 * shares["low"], 100 * shares["high"], color=FRAUD, alpha=0.2)
    below.set(title="Fraud share of each day, 95% interval", ylabel="% of payments", ylim=(0, None))
    for axes in (above, below):
        axes.axvspan(settled_until, counts.index.max(), color=UNSETTLED, alpha=0.4, label="not yet labelled")
    below.legend(loc="upper left")
    _concise(below)
    return figure


def clusters(payments: Frame, entity: str, one: str, found: Clusters) -> Figure:
    """The payments of the entities with the most frauds over time, and the gaps between frauds compared with chance."""
    figure, (left, right) = _figure(2, height=4.6, ratios=(3, 2))
    settled = payments[payments["settled"]]
    top = settled.groupby(entity)["fraud"].sum().sort_values(ascending=False).head(TOP_ENTITIES)
    rows = {number: row for row, number in enumerate(top[top > 0].index)}
    shown = settled[settled[entity].isin(rows)]
    when = (shown["occurred"] * 1_000_000_000).astype("datetime64[ns]")
    for mask, label, colour, size in ((~shown["fraud"], "genuine", UNSETTLED, 3), (shown["fraud"], "fraud", FRAUD, 9)):
        left.scatter(when[mask], shown.loc[mask, entity].map(rows), s=size, color=colour, label=label, linewidths=0)
    left.set(title=f"The {one}s with the most frauds", ylabel=f"{one}, worst at the bottom", yticks=[])
    _concise(left)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    reach = max([1.0, *found.gaps, *found.gaps_by_chance])
    edges = np.linspace(0, reach, 40)
    right.hist(found.gaps, edges, color=FRAUD, alpha=0.7, label="observed")
    right.hist(found.gaps_by_chance, edges, color="0.3", histtype="step", label="random frauds")
    right.set(title=f"Time to the next fraud at the same {one}", xlabel="days", ylabel="pairs of frauds (log)")
    if len(found.gaps):
        right.set_yscale("log")
    right.legend()
    return figure


def label_delays(delays: Frame, known_after: Frame, known_on: Frame, moment: Any) -> Figure:
    """The delay of reports, the share of frauds known after n days, and the frauds known at a moment by day."""
    figure, (left, middle, right) = _figure(3, ratios=(2, 2, 3))
    left.hist(delays, np.arange(0, np.ceil(delays.max()) + 2) - 0.5, color=FRAUD)
    left.set(title="Payment to report", xlabel="days", ylabel="frauds", xlim=(-0.5, None))
    middle.step(known_after.index, 100 * known_after["share"], where="post", color=FRAUD)
    middle.axvline(LABEL_DELAY_DAYS, color="0.5", linestyle=":", label="label delay")
    middle.set(title="Frauds known after", xlabel="days since the payment", ylabel="% of frauds", ylim=(0, 104))
    middle.legend(loc="lower right")
    right.bar(known_on.index, known_on["known"], color=FRAUD, label="known then")
    right.bar(known_on.index, known_on["unknown"], bottom=known_on["known"], color=UNSETTLED, label="known only later")
    right.set(title=f"Frauds known on {moment:%Y-%m-%d}, 00:00", ylabel="frauds of the day")
    right.set_ylim(0, 1.4 * max(1, known_on.sum(axis=1).max()))
    _concise(right)
    right.legend(loc="upper left")
    return figure


def by_week(table: Frame, overall: float) -> Figure:
    """The fraud share of each week with its interval."""
    figure, (axes,) = _figure(1)
    _share_points(axes, table.index, table)
    axes.axhline(100 * overall, color="0.5", linestyle=":", label="all weeks")
    axes.set(title="Fraud share by week, 95% interval", xlabel="first day of the week")
    axes.legend()
    _concise(axes)
    return figure


def drift(found: Drift) -> Figure:
    """A heatmap of the distance of each feature from the reference week, by week."""
    import seaborn as sns  # type: ignore[import-untyped]

    figure, (axes,) = _figure(1, height=1.6 + 0.27 * len(found.distance))
    weeks = found.distance.assign(**{str(found.reference): 0.0}).rename(columns={str(found.reference): found.reference})
    weeks = weeks[sorted(weeks)]
    sns.heatmap(
        weeks,
        ax=axes,
        cmap="Blues",
        vmin=0,
        vmax=max(0.2, weeks.max().max()),
        xticklabels=[f"{week:%m-%d}" for week in weeks],
        yticklabels=True,
        cbar_kws={"label": "Kolmogorov-Smirnov statistic"},
    )
    axes.grid(visible=False)
    axes.set(title=f"Distance from the week of {found.reference:%Y-%m-%d}", xlabel="first day of the week")
    return figure


def separation(auc: Frame) -> Figure:
    """The AUC of each single feature, as bars from 0.5."""
    figure, (axes,) = _figure(1, height=1.4 + 0.27 * len(auc))
    colours = [FRAUD if value > 0.5 else GENUINE for value in auc]
    bars = axes.barh(auc.index, auc - 0.5, left=0.5, color=colours)
    axes.bar_label(bars, labels=[f"{value:.3f}" for value in auc], padding=3)
    axes.axvline(0.5, color="0.3")
    axes.set(
        title="Single features: frauds have larger (red) or smaller values (blue)", xlabel="AUC ROC", xlim=(0, 1.05)
    )
    axes.grid(axis="y", visible=False)
    return figure


def by_pattern(frauds: Frame, auc: Frame) -> Figure:
    """The amounts of each pattern, logarithmic, and the AUC of each feature for each pattern."""
    import seaborn as sns

    figure, (left, right) = _figure(2, height=1.8 + 0.27 * len(auc))
    edges = _log_edges(frauds.loc[frauds["amount"] > 0, "amount"])
    for pattern, some in frauds.groupby("pattern"):
        left.hist(some["amount"], edges, alpha=0.6, label=FRAUD_PATTERNS.get(pattern, "unknown"))
    left.set(title="Amounts of frauds by pattern", xscale="log", xlabel="amount (log)", ylabel="frauds")
    left.legend()
    named = auc.rename(columns=lambda name: name.replace(" ", "\n"))
    sns.heatmap(
        named, ax=right, cmap="vlag", vmin=0, vmax=1, annot=True, fmt=".2f", yticklabels=True, annot_kws={"size": 8}
    )
    right.grid(visible=False)
    right.set_title("AUC ROC of single features")
    right.tick_params(axis="x", rotation=0)
    return figure


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _concise(axes: Any) -> None:
    """Format the dates of the horizontal axis without repeating year and month."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _share_points(axes: Any, x: Any, table: Frame) -> None:
    share = 100 * table["share"]
    spread = np.array([share - 100 * table["low"], 100 * table["high"] - share]).clip(min=0)
    axes.errorbar(x, share, yerr=spread, fmt="o", color=FRAUD, ecolor=FRAUD, elinewidth=1, capsize=2, markersize=4)
    axes.set(ylabel="% of payments", ylim=(0, 110 * table["high"].max()))


def _log_edges(values: Frame) -> Any:
    low, high = (values.min(), values.max()) if len(values) else (1, 10)
    return np.geomspace(low, max(high, low * 1.01), LOG_BINS)


def _figure(
    panels: int, rows: int = 1, height: float = HEIGHT, ratios: tuple[int, ...] | None = None, sharex: bool = False
) -> tuple[Figure, list[Any]]:
    # The object-oriented interface needs no display and has no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, panels // rows, squeeze=False, width_ratios=ratios, sharex=sharex).ravel().tolist()
    for one in axes:
        one.grid(alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes
