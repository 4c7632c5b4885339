"""Replay the held-out days of a feed at a steady rate, as a service: `python -m bank.live`.

It resumes from the bank's records, so it can be stopped or killed at any time: events that were answered but not
recorded are sent again and get the same answer. While the scorer or the bank is unavailable, it waits and retries.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event
from typing import Final, TypeVar

import httpx
import psycopg
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential_jitter,
)
from tenacity.stop import stop_base

from bank import known_contents
from bank.errors import BankError, one_line
from bank.events import Event as BankEvent
from bank.feed import Feed, require_days
from bank.landing import open_bank
from bank.load import hold_out
from bank.options import add_feed_options, feed_of, positive_int
from bank.pending_events import next_day
from bank.replay import ReplayResult, play, record, record_refunds
from bank.runner import run
from bank.scorer_client import Answer, ScorerClient
from bank.settings import Settings, read_settings

RECORD_EVERY: Final = 100
RETRY_SECONDS: Final = 600
SECONDS_BETWEEN_LINES: Final = 10.0
IDLE_SECONDS: Final = 60.0
AWAY: Final = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction)
"""Errors that end by themselves: no answer, a full disk, a standby that is not promoted yet."""
T = TypeVar("T")


@dataclass
class Pace:
    """Limits events to `rate` a second; it does not catch up after a pause."""

    rate: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    _due: float = field(default=float("-inf"), init=False)

    def wait(self) -> None:
        """Wait until the next event is due."""
        now = self.clock()
        if self._due > now:
            self.sleep(self._due - now)
            now = self._due
        self._due = now + 1 / self.rate


@dataclass
class Live:
    """Sends events to the scorer and records them in the bank until `stopping` is set.

    `say` prints a line; `beat` is called after each event.
    """

    settings: Settings
    scorer: ScorerClient
    pace: Pace
    say: Callable[[str], None]
    beat: Callable[[], None]
    stopping: Event
    clock: Callable[[], float] = time.monotonic

    def play_day(self, day: date, events: Sequence[BankEvent]) -> ReplayResult:
        """Send the events in order; all that were answered are recorded, even after an error."""
        played, unrecorded, last_printed = ReplayResult(), list[BankEvent](), self.clock()
        try:
            for done, event in enumerate(events, 1):
                self.pace.wait()
                if self.stopping.is_set():
                    break
                answer = play(event, self.scorer, played)
                unrecorded.append(event)
                self.beat()
                if answer and answer.decision != "approve":
                    self.say(_flagged(event, answer))
                if len(unrecorded) >= RECORD_EVERY:
                    self._record(unrecorded)
                if self.clock() - last_printed >= SECONDS_BETWEEN_LINES:
                    last_printed = self.clock()
                    self.say(_so_far(day, done, len(events), played))
        finally:
            self._record(unrecorded)
        return played

    def idle(self, seconds: float) -> None:
        """Wait, and call `beat` each second while the scorer is ready."""
        until = self.clock() + seconds
        while self.clock() < until and not self.stopping.wait(1):
            if self.scorer.is_ready():
                self.beat()

    def _record(self, events: list[BankEvent]) -> None:
        self.at_the_bank(lambda bank: record(bank, events))
        events.clear()

    def at_the_bank(self, work: Callable[[psycopg.Connection], T]) -> T:
        """Run `work` on a new connection to the bank; retries while the database is unavailable or read-only."""

        def once() -> T:
            with open_bank(self.settings) as bank:
                return work(bank)

        retrying = Retrying(
            retry=retry_if_exception_type(AWAY),
            stop=retry_until(self.stopping),
            wait=wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1),
            sleep=sleep_using_event(self.stopping),
            before_sleep=_log_wait("bank"),
            reraise=True,
        )
        return retrying(once)


def retry_until(stopping: Event) -> stop_base:
    """When to stop retrying: after ten minutes, or once `stopping` is set."""
    return stop_after_delay(RETRY_SECONDS) | stop_when_event_set(stopping)


def _flagged(event: BankEvent, answer: Answer) -> str:
    row = event.row
    why = answer.reasons[0] if answer.reasons else ""
    return (
        f"{row['occurred_at']:%Y-%m-%d %H:%M:%S}  payment {row['transaction_id']}  {row['amount']:.2f}  "
        f"{answer.decision} ({answer.score:.3f})  {why}"
    )


def _so_far(day: date, done: int, total: int, played: ReplayResult) -> str:
    decided = ", ".join(f"{number:,} {decision}" for decision, number in played.decisions.items())
    latency = played.summary(0)["latency_ms"]
    caught = f"{played.frauds_caught} of {played.frauds} frauds caught"
    return (
        f"live {day}: {done:,} of {total:,} events; {decided}; {caught}; "
        f"p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms"
    )


def _log_wait(what: str) -> Callable[[RetryCallState], None]:
    """A callback that prints a line at the first retry of each call."""

    def log_first_retry(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if state.attempt_number == 1 and isinstance(error, Exception):
            _print_line(f"live: waiting for the {what}: {one_line(error)}")

    return log_first_retry


def _print_line(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.live", description=__doc__)
    add_feed_options(parser)
    parser.add_argument("--hold-out-days", type=positive_int, required=True, metavar="N", help="as given to bank.load")
    parser.add_argument(
        "--rate", type=positive_int, default=10, metavar="N", help="events (payments and reports) a second"
    )
    parser.add_argument("--heartbeat", type=Path, default=None, metavar="FILE", help="file to touch after each event")
    options = parser.parse_args()
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        _serve(options, stopping)
    except (BankError, *AWAY, httpx.TransportError) as error:
        if not stopping.is_set():
            raise
        # Stopped during a retry: the event is sent again at the next start.
        _print_line(f"live: stopped while waiting ({one_line(error)}); the next start resumes from the bank's records")
    else:
        _print_line("live: stopped; all answered events are recorded")


def _serve(options: argparse.Namespace, stopping: Event) -> None:
    feed = feed_of(options, datetime.now(UTC))
    held_out = hold_out(require_days(feed), options.hold_out_days)[1]
    settings = read_settings()
    stop, sleep = retry_until(stopping), sleep_using_event(stopping)
    beat = options.heartbeat.touch if options.heartbeat else lambda: None
    key = settings.secret("scorer_api_key")
    with ScorerClient(settings.scorer_url, key, stop, sleep, _log_wait("scorer")) as scorer:
        live = Live(settings, scorer, Pace(options.rate, sleep=stopping.wait), _print_line, beat, stopping)
        live.at_the_bank(lambda bank: known_contents.admit(bank, feed))
        span = f"{held_out[0]} to {held_out[-1]}"
        _print_line(f"live: {span}, {options.rate} events a second, resuming from the bank's records")
        while not stopping.is_set():
            found = live.at_the_bank(lambda bank: _next_day(bank, feed, held_out))
            if found is None:
                _print_line("live: all past days of the feed are replayed; idle")
                live.idle(IDLE_SECONDS)
                continue
            start, day = time.monotonic(), found[0]
            # First: a day whose payments are recorded is not visited again.
            live.at_the_bank(lambda bank, day=day: record_refunds(bank, feed, day))  # type: ignore[misc]
            played = live.play_day(*found)
            _print_line(json.dumps({"day": str(found[0]), **played.summary(time.monotonic() - start)}))


def _next_day(bank: psycopg.Connection, feed: Feed, held_out: Sequence[date]) -> tuple[date, list[BankEvent]] | None:
    # Each time: a customer may have been erased since.
    known_contents.take_over(bank, feed)
    return next_day(bank, feed, held_out, datetime.now(UTC))


if __name__ == "__main__":
    run(main)
