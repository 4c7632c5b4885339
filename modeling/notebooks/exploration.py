# %% [markdown]
"""
# What the payments say

A look at the lake before any model. The text in grey asks a question and says how it is answered; what stands beside a
blue line is computed from the data at hand, the words included, so it is true of these data and no others.

**Labels are read at one moment**, the end of the lake's last day, by the label-delay clock of `contracts/labels.py`: a
fraud is known when it was reported and the delay has passed. Payments too young for that are *not yet labelled*, and
every share of frauds leaves them out.
"""

# %%
from calendar import day_name

import pandas as pd

from contracts.days import first_second
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY, LABEL_DELAY_DAYS
from contracts.transaction import FRAUD_PATTERNS, from_epoch_seconds
from modeling.notebooks import plots, statistics
from modeling.notebooks.narrative import (
    clusters_in_words,
    compare,
    day,
    extremes,
    listed,
    number,
    percent,
    say,
    show,
    times,
    two_medians,
)
from modeling.notebooks.payments import SAMPLE_A_DAY, read_lake
from modeling.settings import Settings

world = read_lake(Settings().lake)
payments, settled, frauds = world.payments, world.settled, world.frauds
now = from_epoch_seconds(world.now)
overall = len(frauds) / max(len(settled), 1)
genuine, young = settled[~settled["fraud"]], payments[~payments["settled"]]
enough = min(len(frauds), len(genuine)) >= statistics.LEAST_FRAUDS
too_few = f"Of {number(len(settled), 'labelled payment')} {len(frauds):,} are known frauds: nothing can be said here."

say(
    f"{number(len(payments), 'payment')} of {number(payments['customer_id'].nunique(), 'customer')} at "
    f"{number(payments['terminal_id'].nunique(), 'terminal')}, {world.days.first} to {world.days.last}. "
    f"Labels are read at {now:%Y-%m-%d %H:%M} UTC."
)

# %% [markdown]
"""
## Imbalance

How rare are frauds, and do they weigh more in money than in number?
"""

# %%
classes = {"genuine": genuine, "fraud": frauds, "not yet labelled": young}
show(
    plots.imbalance(
        {name: len(rows) for name, rows in classes.items()},
        {name: rows["amount"].sum() for name, rows in classes.items()},
    ),
    "Payments and their sums by class",
)
say(
    f"{number(len(frauds), 'payment is a known fraud', 'payments are known frauds')}, {percent(overall)} of the "
    f"{len(settled):,} labelled ones; {number(len(young), 'payment')} of the last {LABEL_DELAY_DAYS} days cannot be "
    "labelled yet."
)
if len(frauds):
    weight = frauds["amount"].sum() / max(settled["amount"].sum(), 0.01)
    say(
        f"A classifier that calls everything genuine is right {percent(1 - overall)} of the time and of no use. Frauds "
        f"hold {percent(weight)} of the money, {compare(weight, overall, ('more than', 'less than', 'as much as'))} "
        "their share of the payments."
    )

# %% [markdown]
"""
## Amounts

Are frauds larger? Both classes on a logarithmic axis, each on its own scale; then the fraud share in each tenth of the
payments by amount, with 95 % intervals (Wilson).
"""

# %%
if enough:
    show(plots.two_classes(settled["amount"], settled, "amount"), "Amounts by class")
    by_amount = statistics.fraud_shares(settled, statistics.bands(settled["amount"]))
    say(
        two_medians("amount", settled["amount"], settled["fraud"]),
        f"The {percent(by_amount['payments'].iloc[-1] / len(settled))} of payments with the largest amounts hold "
        f"{percent(by_amount['frauds'].iloc[-1] / len(frauds))} of the frauds.",
        f"The largest genuine payment is {genuine['amount'].max():,.2f}, the largest fraud "
        f"{frauds['amount'].max():,.2f}; {percent((frauds['amount'] > genuine['amount'].max()).mean())} of the frauds "
        "are larger than any genuine payment.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Amounts against the customer's habit

An amount may be usual for one customer and strange for another: each payment as a multiple of its customer's own
median. The median is that of the whole period, so this is a look in hindsight and no feature.
"""

# %%
habit = statistics.against_habit(payments)[payments["settled"]]
if enough and habit.notna().any():
    show(plots.two_classes(habit, settled, "multiple of the customer's median"), "Amounts against habit by class")
    above = habit > 3
    caught = settled["fraud"] & above
    say(
        two_medians("multiple of the customer's median", habit, settled["fraud"]),
        f"{number(int(above.sum()), 'payment')} are more than three times the customer's median; "
        f"{percent(caught.sum() / max(above.sum(), 1))} of them are frauds, and they are "
        f"{percent(caught.sum() / len(frauds))} of all frauds.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Hours and weekdays

When do customers pay, and do frauds keep other hours? All times are UTC.
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
        # An hour with hardly a payment has no share worth naming.
        hours = by_hour[by_hour["payments"] >= by_hour["payments"].max() / 20]
        say(extremes(hours, "from {}:00 on"), extremes(by_weekday.rename(index=dict(enumerate(day_name))), "on {}s"))
else:
    say("No payment is old enough to be labelled.")

# %% [markdown]
"""
## Day by day

Does the stream keep its level, and the fraud share with it? Days that cannot be labelled yet are grey.
"""

# %%
by_day = statistics.fraud_shares(settled, statistics.dates(settled))
a_day = statistics.dates(payments).value_counts().sort_index()
show(plots.days(a_day, by_day, pd.Timestamp(world.now - LABEL_DELAY, unit="s")), "Payments and fraud share by day")
say(
    f"{len(a_day):,} of {number(len(world.days.days()), 'day')} have payments: {a_day.min():,} to {a_day.max():,}, "
    f"{a_day.median():,.0f} in the middle."
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

Do frauds come alone, or does a terminal go bad? The left picture shows every payment at the terminals with most frauds.
The right one shows how long it takes from one fraud to the next at the same terminal, against as many frauds scattered
at random over all payments (with a fixed seed): the more the bars lie left of and above the line, the more a terminal's
past says of its next payment.
"""

# %%
if enough:
    terminals = statistics.clusters(payments, "terminal_id")
    show(plots.places(payments, "terminal_id", "terminal", terminals), "Frauds at terminals over time")
    count, share = statistics.top_share(settled, "terminal_id")
    say(
        *clusters_in_words(terminals, "terminal"),
        f"The worst {number(count, 'terminal')}, {percent(count / terminals.entities)} of all, "
        f"{'holds' if count == 1 else 'hold'} {percent(share)} of the frauds.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Cards

The same questions of customers: does a stolen card show several frauds in a short time?
"""

# %%
if enough:
    cards = statistics.clusters(payments, "customer_id")
    show(plots.places(payments, "customer_id", "customer", cards), "Frauds of customers over time")
    tighter = compare(cards.excess, terminals.excess, ("more than", "less than", "as much as"))
    say(*clusters_in_words(cards, "customer"), f"Beyond chance, frauds cluster by customer {tighter} by terminal.")
else:
    say(too_few)

# %% [markdown]
"""
## When labels arrive

A fraud is not known when it happens. Left: the days from payment to report. Middle: the share of frauds that are known
n days after they happened, by the label-delay clock. Right: the frauds of the three weeks before a moment, split into
those known at that moment and those known only since. The moment is one delay before the end, for hindsight's sake.
"""

# %%
if enough:
    delays = (frauds["reported"] - frauds["occurred"]) / DAY
    after = statistics.known_after(payments)
    then = world.now - LABEL_DELAY
    on = statistics.known_on(payments, then)
    show(plots.clock(delays, after, on, from_epoch_seconds(then)), "How labels arrive")
    hidden, recent = int(on["unknown"].sum()), int(on.to_numpy().sum())
    seen = max(int(payments["occurred"].between(then - statistics.LOOK_BACK_DAYS * DAY, then - 1).sum()), 1)
    say(
        f"Reports come {delays.median():.1f} days after the payment (median), {delays.min():.1f} at the soonest and "
        f"{delays.max():.1f} at the latest; {percent((delays > LABEL_DELAY_DAYS).mean())} of them later than the label "
        f"delay of {LABEL_DELAY_DAYS} days.",
        f"At {day(from_epoch_seconds(then))}, 00:00 UTC, {hidden:,} of {number(recent, 'fraud')} of the three weeks "
        "before were not yet known.",
        f"Its labels taken at their word, the fraud share of these weeks was {percent(on['known'].sum() / seen)}; by "
        f"today's it was {percent(recent / seen)}, {times(recent, on['known'].sum())} as high.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Fraud share by week

The same payments by week from the first day on, with 95 % intervals (Wilson). These take payments for independent of
one another: where frauds come in clusters, they are too narrow.
"""

# %%
start = first_second(world.days.first)
weekly = statistics.fraud_shares(settled, statistics.weeks(settled, start))
if enough and len(weekly) > 1:
    show(plots.by_week(weekly, overall), "Fraud share by week")
    outside = int(((weekly["low"] > overall) | (weekly["high"] < overall)).sum())
    say(
        extremes(weekly, "in the week of {:%Y-%m-%d}"),
        f"The intervals of {outside} of {number(len(weekly), 'week')} leave out the overall share, {percent(overall)}.",
    )
else:
    say("There are too few labelled weeks or known frauds to compare.")

# %% [markdown]
"""
## Drift of the features

How far does a week's distribution of a feature lie from that of a reference week? The two-sample Kolmogorov-Smirnov
statistic says it: 0 for equal, 1 for disjoint. Windows look back weeks, so the first weeks of a lake know less than
later ones; the reference is the first week whose windows are full, if another follows it. What chance alone makes is
told by two random halves of the reference week, whose distance is scaled down to that of whole weeks.
"""

# %%
moved = statistics.drift(world.sample, start)
if moved is None:
    say("There are no two whole weeks to compare.")
else:
    show(plots.moved(moved), "Distance of each feature's week from the reference week")
    say(f"Two weeks as large as the reference differ by up to {moved.noise:.3f} by chance alone.")
    for table, period in ((moved.before, "before"), (moved.after, "after")):
        if table.size:
            feature, week = table.stack().idxmax()
            farther = int((table.max(axis=1) > 2 * moved.noise).sum())
            say(
                f"In the {number(table.shape[1], 'week')} {period} the reference, `{feature}` lies farthest from it: "
                f"{table.loc[feature, week]:.3f} in the week of {day(week)}. {farther} of "
                f"{number(len(table), 'feature')} are at some time more than twice as far as chance makes."
            )

# %% [markdown]
"""
## What separates frauds

How well does one feature alone order frauds above genuine payments? The AUC ROC is the chance that a random fraud has
a larger value than a random genuine payment: a half is a coin.
"""

# %%
sample = world.sample
if enough:
    auc = statistics.single_auc(sample, sample["fraud"])
    show(plots.separation(auc), "AUC of each single feature")
    best, weakest = auc.index[-1], auc.index[0]
    say(
        f"All {number(len(frauds), 'fraud')} against up to {SAMPLE_A_DAY:,} genuine payments of each day.",
        f"`{best}` separates best, AUC {auc[best]:.3f}: frauds have "
        f"{compare(auc[best], 0.5, ('larger', 'smaller', 'the same'))} values. `{weakest}` separates least, "
        f"{auc[weakest]:.3f}.",
        f"{int(((auc - 0.5).abs() > 0.1).sum())} of {number(len(auc), 'feature')} are more than 0.1 from a coin.",
    )
else:
    say(too_few)

# %% [markdown]
"""
## Patterns of fraud

Where the fraud reports name a pattern, each is looked at on its own: a feature that finds one may be blind to another.
Patterns explain; no feature may use them.
"""

# %%
known = [pattern for pattern in world.patterns if (frauds["pattern"] == pattern).sum() >= statistics.LEAST_FRAUDS]
if not world.patterns:
    say("The fraud reports of this lake name no pattern.")
elif not known:
    say("No pattern has enough known frauds to be looked at.")
if known:
    by_pattern = pd.DataFrame(
        {FRAUD_PATTERNS[pattern]: statistics.single_auc(sample, sample["pattern"] == pattern) for pattern in known},
        index=list(FEATURES),
    )
    show(plots.by_pattern(frauds, by_pattern), "Amounts and AUC by pattern")
for pattern in known:
    name, some = FRAUD_PATTERNS[pattern], frauds[frauds["pattern"] == pattern]
    finder = (by_pattern[name] - 0.5).abs().idxmax()
    say(
        f"**{name.capitalize()}**: {number(len(some), 'fraud')}, {percent(len(some) / len(frauds))} of all, at "
        f"{number(some['terminal_id'].nunique(), 'terminal')} by {number(some['customer_id'].nunique(), 'customer')}, "
        f"median amount {some['amount'].median():,.2f}; `{finder}` separates it best, "
        f"AUC {by_pattern.loc[finder, name]:.3f}."
    )
missing = [name for pattern, name in FRAUD_PATTERNS.items() if world.patterns and pattern not in world.patterns]
if missing:
    say(f"No report known by now names these patterns: {', '.join(missing)}.")

# %% [markdown]
"""
## In short

What of this a model has to reckon with.
"""

# %%
points = [
    f"Of 1,000 labelled payments {1000 * overall:.1f} are known frauds.",
    f"The last {LABEL_DELAY_DAYS} days, {number(len(young), 'payment')}, can be used neither to train nor to test.",
]
if enough:
    points += [
        f"Within {statistics.NEAR_DAYS} days a fraud has another at its terminal in {percent(terminals.near)} of cases "
        f"(by chance {percent(terminals.near_by_chance)}), of its customer in {percent(cards.near)} (by chance "
        f"{percent(cards.near_by_chance)}).",
        f"`{best}` alone, {compare(auc[best], 0.5, ('larger', 'smaller', 'equal'))} values first, reaches an AUC of "
        f"{max(auc[best], 1 - auc[best]):.3f}; a model must do better than that.",
    ]
if len(known) > 1:
    strongest = {(by_pattern[name] - 0.5).abs().idxmax() for name in by_pattern}
    points.append(
        f"{number(len(known), 'pattern')} of fraud are told apart from genuine payments best by "
        f"{number(len(strongest), 'feature')}: {listed(f'`{name}`' for name in sorted(strongest))}."
    )
say("\n".join(f"- {point}" for point in points))
