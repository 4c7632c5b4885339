"""Clients that retry until they have an answer, and sometimes repeat an earlier request."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx

from contracts.transaction import from_epoch_seconds

Payment = tuple[int, int, int, int, int]
"""id, customer, terminal, cents, second."""
BATCH = 100


class World:
    """Payments of a few hundred customers, a second apart on average, some simultaneous, some out of order."""

    def __init__(self, customers: int, terminals: int, start: int) -> None:
        self._numbers = itertools.count(1)
        self._random = random.Random(0)
        self._lock = threading.Lock()
        self._size, self._start = (customers, terminals), start

    def next(self, count: int) -> list[Payment]:
        """The next `count` payments, with unused ids."""
        with self._lock:
            return [self._one(next(self._numbers)) for _ in range(count)]

    def _one(self, number: int) -> Payment:
        customers, terminals = self._size
        second = self._start + number // 2 - self._random.choice((0, 0, 0, 0, 0, 0, 1, 5, 600))
        customer, terminal = self._random.randrange(customers), self._random.randrange(terminals)
        return number, customer, terminal, self._random.randrange(1, 90_000), second


@dataclass
class Told:
    """The responses: every answer to each payment, and each status other than 200."""

    payments: dict[int, Payment] = field(default_factory=dict)
    answers: defaultdict[int, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    refused: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, payments: list[Payment], results: list[dict[str, Any]], seconds: float) -> None:
        """Record the answers to some payments."""
        with self.lock:
            self.slowest = max(self.slowest, seconds)
            for payment, result in zip(payments, results, strict=True):
                self.payments[payment[0]] = payment
                self.answers[payment[0]].append(result)


class Clients:
    """Threads that send requests; they can be paused, with no request unanswered, and resumed."""

    def __init__(self, count: int, port: int, key: str, world: World, told: Told) -> None:
        self._address, self._key, self._world, self.told = f"http://127.0.0.1:{port}", key, world, told
        self._go, self._over = threading.Event(), threading.Event()
        self._idle = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(count)]
        self.errors: list[BaseException] = []
        for thread in self._threads:
            thread.start()

    def go(self) -> None:
        """Resume."""
        self._go.set()

    def hold(self) -> None:
        """Pause, once every client has its answer."""
        self._go.clear()
        for _ in self._threads:
            assert self._idle.acquire(timeout=120), "a client waits for an answer for ever"
        for _ in self._threads:
            self._idle.release()
        self.raise_errors()

    def end(self) -> None:
        """Stop the threads."""
        self._over.set()
        self._go.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def raise_errors(self) -> None:
        """Re-raise the errors of the threads."""
        if self.errors:
            raise self.errors[0]

    def _run(self, number: int) -> None:
        choose = random.Random(number)
        mine: list[Payment] = []
        try:
            with httpx.Client(base_url=self._address, headers={"X-API-Key": self._key}, timeout=10) as client:
                while not self._over.is_set():
                    if not self._go.is_set():
                        self._idle.release()
                        self._go.wait()
                        self._idle.acquire()
                        continue
                    if mine and choose.random() < 0.1:
                        # Over a new connection, so that any worker may accept it.
                        with httpx.Client(base_url=self._address, headers=client.headers, timeout=10) as other:
                            self._ask(other, [choose.choice(mine)])
                        continue
                    asked = self._world.next(BATCH if choose.random() < 0.3 else 1)
                    self._ask(client, asked)
                    mine.append(choose.choice(asked))
        except BaseException as error:
            self.errors.append(error)
            self._idle.release()

    def _ask(self, client: httpx.Client, payments: list[Payment]) -> None:
        path, sent = "/v1/score", _body(payments[0])
        if len(payments) > 1:
            path, sent = "/v1/score/batch", {"transactions": [_body(payment) for payment in payments]}
        while not self._over.is_set():
            began = time.monotonic()
            try:
                answer = client.post(path, json=sent)
            except httpx.TransportError:
                # It may have been scored: only a retry of the same payment can tell.
                time.sleep(0.05)
                continue
            if answer.status_code == 200:
                found = answer.json()
                self.told.take(payments, found["results"] if len(payments) > 1 else [found], time.monotonic() - began)
                return
            with self.told.lock:
                self.told.refused[answer.status_code] += 1
            assert answer.status_code == 503, answer.text
            time.sleep(0.05)


def _body(payment: Payment) -> dict[str, Any]:
    number, customer, terminal, cents, second = payment
    return {
        "transaction_id": number,
        "customer_id": customer,
        "terminal_id": terminal,
        "amount": cents / 100,
        "occurred_at": from_epoch_seconds(second).isoformat(),
    }
