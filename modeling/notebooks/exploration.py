# %% [markdown]
"""
# Data exploration

An exploratory analysis of the lake, before any model. Text in grey asks a question and describes the method. Text
next to a blue line is computed from the data, wording included, and describes only this data.

**Labels are as of one moment**, the end of the lake's last day, by the label delay of `contracts/labels.py`: a fraud is
known once it was reported and the delay has passed. More recent payments are *not yet labelled* and are excluded from
every fraud share, as are payments whose label the bank does not know.
"""

# %%
from calendar import day_name

import pandas as pd

from contracts.days import first_second
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY, LABEL_DELAY_DAYS
from contracts.transaction import FRAUD_PATTERNS, from_epoch_seconds
from modeling.notebooks import plots, statistics
from modeling.notebooks.drift import feature_drift
from modeling.notebooks.narrative import (
    compare,
    day,
    describe_clusters,
    describe_extremes,
    describe_medians,
    listed,
    number,
    percent,
    say,
    show,
    times,
)
from modeling.notebooks.payments import SAMPLE_A_DAY, read_lake
from modeling.settings import Settings

lake = read_lake(Settings().lake)
payments, settled, frauds = lake.payments, lake.settled, lake.frauds
now = from_epoch_seconds(lake.now)
overall = len(frauds) / max(len(settled), 1)
genuine, young = settled[~settled["fraud"]], payments[~payments["settled"] & ~payments["unknown"]]
unknown = payments[payments["unknown"]]
enough = min(len(frauds), len(genuine)) >= statistics.MIN_FRAUDS
too_few = f"Of {number(len(settled), 'labelled payment')} {len(frauds):,} are known frauds: too few for this section."

say(
    f"{number(len(payments), 'payment')} of {number(payments['customer_id'].nunique(), 'customer')} at "
    f"{number(payments['terminal_id'].nunique(), 'terminal')}, {lake.days.first} to {lake.days.last}. "
    f"Labels are as of {now:%Y-%m-%d %H:%M} UTC."
)
if len(unknown):
    say(f"The label of {number(len(unknown), 'payment')} is unknown: no class and no fraud share includes them.")

# %% [markdown]
"""
## Imbalance

How rare are frauds, by number and by amount?
"""

# %%
classes = {"genuine": genuine, "fraud": frauds, "not yet labelled": young}
show(
    plots.imbalance(
        {name: len(rows) for name, rows in classes.items()},
        {name: rows["amount"].sum() for name, rows in classes.items()},
    ),
    "Payments and amounts by class",
)
say(
    f"{number(len(frauds), 'payment is a known fraud', 'payments are known frauds')}, {percent(overall)} of the "
    f"{len(settled):,} labelled ones; {number(len(young), 'payment')} of the last {LABEL_DELAY_DAYS} days cannot be "
    "labelled yet."
)
if len(frauds):
    weight = frauds["amount"].sum() / max(settled["amount"].sum(), 0.01)
    say(
        f"A classifier that predicts genuine for every payment has an accuracy of {percent(1 - overall)} and is "
        f"useless. Frauds are {percent(weight)} of the total amount, "
        f"{compare(weight, overall, ('more than', 'less than', 'as much as'))} their share of the payments."
    )

# %% [markdown]
"""
## Amounts

Do frauds have larger amounts? Left: the distribution in each class, on a logarithmic axis. Right: the fraud share by
decile of the amount, with 95% Wilson intervals.
"""

# %%
if enough:
    show(plots.two_classes(settled["amount"], settled, "amount"), "Amounts by class")
    by_amount = statistics.fraud_shares(settled, statistics.bands(settled["amount"]))
    say(
        describe_medians("amount", settled["amount"], settled["fraud"]),
        f"The {percent(by_amount['payments'].iloc[-1] / len(settled))} of payments with the largest amounts contain "
        f"{percent(by_amount['frauds'].iloc[-1] / len(frauds))} of the frauds.",
        f"The largest genuine amount is {genuine['amount'].max():,.2f}, the largest fraud "
        f"{frauds['amount'].max():,.2f}; {percent((frauds['amount'] > genuine['amount'].max()).mean())} of the frauds "
        "are larger than every genuine payment.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Amounts against the customer's habit

An amount may be normal for one customer and unusual for another. Each payment is shown as a multiple of its customer's
median over the whole period; this uses future payments, so it is an analysis and not a feature.
"""

# %%
habit = statistics.against_habit(payments)[payments["settled"]]
if enough and habit.notna().any():
    show(plots.two_classes(habit, settled, "multiple of the customer's median"), "Amounts against habit by class")
    above = habit > 3
    caught = settled["fraud"] & above
    say(
        describe_medians("multiple of the customer's median", habit, settled["fraud"]),
        f"{number(int(above.sum()), 'payment')} are more than three times the customer's median; "
        f"{percent(caught.sum() / max(above.sum(), 1))} of them are frauds, and they are "
        f"{percent(caught.sum() / len(frauds))} of all frauds.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Hours and weekdays

When do customers pay, and do frauds happen at other times? All times are UTC, while the features `is_night` and
`is_weekend` are local to the bank's time zone.
"""

# %%
by_hour = statistics.fraud_shares(settled, statistics.hours(settled))
by_weekday = statistics.fraud_shares(settled, statistics.dates(settled).dt.dayofweek)
labelled = statistics.dates(settled).drop_duplicates()
by_hour["a_day"] = by_hour["payments"] / len(labelled)
by_weekday["a_day"] = by_weekday["payments"] / labelled.dt.dayofweek.value_counts()
if len(settled):
    show(plots.hours_and_weekdays(by_hour, by_weekday), "Payments and fraud share by hour and weekday")
    say(f"The busiest hour is {by_hour['payments'].idxmax()}:00, the quietest {by_hour['payments'].idxmin()}:00.")
    if enough:
        # The fraud share of an hour with very few payments means nothing.
        hours = by_hour[by_hour["payments"] >= by_hour["payments"].max() / 20]
        say(
            describe_extremes(hours, "from {}:00 on"),
            describe_extremes(by_weekday.rename(index=dict(enumerate(day_name))), "on {}s"),
        )
else:
    say("No payment is old enough to be labelled.")

# %% [markdown]
"""
## Day by day

Are the number of payments and the fraud share stable? Days that are not labelled yet are grey.
"""

# %%
by_day = statistics.fraud_shares(settled, statistics.dates(settled))
a_day = statistics.dates(payments).value_counts().sort_index()
show(plots.days(a_day, by_day, pd.Timestamp(lake.now - LABEL_DELAY, unit="s")), "Payments and fraud share by day")
say(
    f"{len(a_day):,} of {number(len(lake.days.days()), 'day')} have payments: {a_day.min():,} to {a_day.max():,} a "
    f"day, with a median of {a_day.median():,.0f}."
)
if enough:
    half = (len(by_day) + 1) // 2
    shares = [part["frauds"].sum() / max(part["payments"].sum(), 1) for part in (by_day[:half], by_day[half:])]
    say(
        f"In the first half of the labelled days {percent(shares[0])} of the payments were frauds, in the second half "
        f"{percent(shares[1])}: {compare(shares[1], shares[0], ('a rise', 'a fall', 'no change'))}.",
        f"{int((by_day['frauds'] > 0).sum())} of {number(len(by_day), 'labelled day')} had a known fraud.",
    )

# %% [markdown]
"""
## Terminals

Do frauds cluster at compromised terminals? Left: every payment at the terminals with the most frauds. Right: the time
from one fraud to the next at the same terminal, compared with as many frauds assigned to random payments (with a fixed
seed). The further the bars are to the left of and above the line, the more a terminal's past predicts its next payment.
"""

# %%
if enough:
    terminals = statistics.clusters(payments, "terminal_id")
    show(plots.clusters(payments, "terminal_id", "terminal", terminals), "Frauds at terminals over time")
    count, share = statistics.top_share(settled, "terminal_id")
    say(
        *describe_clusters(terminals, "terminal"),
        f"The worst {number(count, 'terminal')}, {percent(count / terminals.entities)} of all, "
        f"{'has' if count == 1 else 'have'} {percent(share)} of the frauds.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Cards

The same for customers: does a stolen card have several frauds in a short time?
"""

# %%
if enough:
    cards = statistics.clusters(payments, "customer_id")
    show(plots.clusters(payments, "customer_id", "customer", cards), "Frauds of customers over time")
    tighter = compare(cards.excess, terminals.excess, ("more than", "less than", "as much as"))
    say(
        *describe_clusters(cards, "customer"),
        f"Compared with chance, frauds cluster by customer {tighter} by terminal.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## When labels arrive

A fraud is not known when it happens. Left: the days from payment to report. Middle: the share of frauds known n days
after the payment, by the label delay. Right: the frauds of the three weeks before a past moment, split into those known
then and those known only later. The moment is one label delay before the end of the data.
"""

# %%
if enough:
    delays = (frauds["reported"] - frauds["occurred"]) / DAY
    after = statistics.known_after(payments)
    then = lake.now - LABEL_DELAY
    on = statistics.known_on(payments, then)
    show(plots.label_delays(delays, after, on, from_epoch_seconds(then)), "How labels arrive")
    hidden, recent = int(on["unknown"].sum()), int(on.to_numpy().sum())
    labelled_ones = payments[~payments["unknown"]]["occurred"]
    seen = max(int(labelled_ones.between(then - statistics.LOOK_BACK_DAYS * DAY, then - 1).sum()), 1)
    say(
        f"Reports arrive {delays.median():.1f} days after the payment (median; minimum {delays.min():.1f}, maximum "
        f"{delays.max():.1f}); {percent((delays > LABEL_DELAY_DAYS).mean())} of them later than the label "
        f"delay of {LABEL_DELAY_DAYS} days.",
        f"At {day(from_epoch_seconds(then))}, 00:00 UTC, {hidden:,} of {number(recent, 'fraud')} of the three weeks "
        "before were not yet known.",
        f"By the labels known then, the fraud share of these weeks was {percent(on['known'].sum() / seen)}; by the "
        f"labels known now it is {percent(recent / seen)}, {times(recent, on['known'].sum())} as high.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Fraud share by week

The fraud share by week, counted from the first day, with 95% Wilson intervals. The intervals assume independent
payments, so they are too narrow where frauds cluster.
"""

# %%
start = first_second(lake.days.first)
weekly = statistics.fraud_shares(settled, statistics.weeks(settled, start))
if enough and len(weekly) > 1:
    show(plots.by_week(weekly, overall), "Fraud share by week")
    outside = int(((weekly["low"] > overall) | (weekly["high"] < overall)).sum())
    say(
        describe_extremes(weekly, "in the week of {:%Y-%m-%d}"),
        f"The intervals of {outside} of {number(len(weekly), 'week')} exclude the overall share, {percent(overall)}.",
    )
else:
    say("There are too few labelled weeks or known frauds to compare.")

# %% [markdown]
"""
## Drift of the features

How much does the distribution of each feature differ between a week and a reference week? The measure is the two-sample
Kolmogorov-Smirnov statistic: 0 for equal, 1 for disjoint distributions. Features use weeks of history, which the first
weeks of a lake lack; the reference is therefore the first week with full windows, if another week follows it. The
difference due to chance is estimated from two random halves of the reference week and scaled to whole weeks.
"""

# %%
drift = feature_drift(lake.sample, start)
if drift is None:
    say("There are no two complete weeks to compare.")
else:
    show(plots.drift(drift), "Distance of each feature from the reference week, by week")
    say(f"By chance alone, two weeks of the reference's size differ by up to {drift.noise:.3f}.")
    for table, period in ((drift.before, "before"), (drift.after, "after")):
        if table.size:
            feature, week = table.stack().idxmax()
            farther = int((table.max(axis=1) > 2 * drift.noise).sum())
            say(
                f"In the {number(table.shape[1], 'week')} {period} the reference, `{feature}` differs most: "
                f"{table.loc[feature, week]:.3f} in the week of {day(week)}. {farther} of "
                f"{number(len(table), 'feature')} differ in some week by more than twice the chance level."
            )

# %% [markdown]
"""
## What separates frauds

How well does each feature separate frauds from genuine payments on its own? The AUC ROC is the probability that a
random fraud has a larger value than a random genuine payment; 0.5 is no better than chance.
"""

# %%
sample = lake.sample
if enough:
    auc = statistics.single_auc(sample, sample["fraud"])
    show(plots.separation(auc), "AUC of each single feature")
    best, weakest = auc.index[-1], auc.index[0]
    say(
        f"Computed on all {number(len(frauds), 'fraud')} and up to {SAMPLE_A_DAY:,} genuine payments of each day.",
        f"`{best}` separates best, AUC {auc[best]:.3f}: frauds have "
        f"{compare(auc[best], 0.5, ('larger', 'smaller', 'the same'))} values. `{weakest}` separates least, "
        f"{auc[weakest]:.3f}.",
        f"{int(((auc - 0.5).abs() > 0.1).sum())} of {number(len(auc), 'feature')} are more than 0.1 away from 0.5.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Fraud patterns

If the fraud reports contain patterns, each is analysed separately, because a feature may detect one pattern and miss
another. Patterns are for analysis; no feature may use them.
"""

# %%
known = [pattern for pattern in lake.patterns if (frauds["pattern"] == pattern).sum() >= statistics.MIN_FRAUDS]
if not lake.patterns:
    say("The fraud reports of this lake have no patterns.")
elif not known:
    say("No pattern has enough known frauds to analyse.")
if known:
    by_pattern = pd.DataFrame(
        {FRAUD_PATTERNS[pattern]: statistics.single_auc(sample, sample["pattern"] == pattern) for pattern in known},
        index=list(FEATURES),
    )
    show(plots.by_pattern(frauds, by_pattern), "Amounts and AUC by pattern")
for pattern in known:
    name, some = FRAUD_PATTERNS[pattern], frauds[frauds["pattern"] == pattern]
    strongest = (by_pattern[name] - 0.5).abs().idxmax()
    say(
        f"**{name.capitalize()}**: {number(len(some), 'fraud')}, {percent(len(some) / len(frauds))} of all, at "
        f"{number(some['terminal_id'].nunique(), 'terminal')} by {number(some['customer_id'].nunique(), 'customer')}, "
        f"median amount {some['amount'].median():,.2f}; `{strongest}` separates it best, "
        f"AUC {by_pattern.loc[strongest, name]:.3f}."
    )
missing = [name for pattern, name in FRAUD_PATTERNS.items() if lake.patterns and pattern not in lake.patterns]
if missing:
    say(f"Patterns without any known report: {', '.join(missing)}.")

# %% [markdown]
"""
## Summary

What a model has to take into account.
"""

# %%
points = [
    f"Of 1,000 labelled payments {1000 * overall:.1f} are known frauds.",
    f"The last {LABEL_DELAY_DAYS} days, {number(len(young), 'payment')}, cannot be used for training or testing.",
]
if enough:
    points += [
        f"{percent(terminals.near)} of frauds have another at the same terminal within {statistics.NEAR_DAYS} days (by "
        f"chance {percent(terminals.near_by_chance)}), {percent(cards.near)} another of the same customer (by chance "
        f"{percent(cards.near_by_chance)}).",
        f"`{best}` alone, {compare(auc[best], 0.5, ('larger', 'smaller', 'equal'))} values first, reaches an AUC of "
        f"{max(auc[best], 1 - auc[best]):.3f}; a model must do better than that.",
    ]
if len(known) > 1:
    best_of = {(by_pattern[name] - 0.5).abs().idxmax() for name in by_pattern}
    points.append(
        f"{number(len(known), 'fraud pattern')} are each best separated by "
        f"{number(len(best_of), 'feature')}: {listed(f'`{name}`' for name in sorted(best_of))}."
    )
say("\n".join(f"- {point}" for point in points))
