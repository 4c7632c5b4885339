"""A kernel of zeros that compiles in a second, for tests of how compiled code is kept."""

from __future__ import annotations

import numpy as np


def check(entity, occurred, rows):  # type: ignore[no-untyped-def]
    return 0


def payment_into(occurred, cents, transitions, offsets, out):  # type: ignore[no-untyped-def]
    out[:] = 0.0


def customer_into(entity, occurred, cents, rows, out, habit):  # type: ignore[no-untyped-def]
    out[:] = 0.0


def terminal_into(entity, occurred, cents, reported, rows, out, runs):  # type: ignore[no-untyped-def]
    out[:] = 0.0


def online(words, starts, payments, transitions, offsets):  # type: ignore[no-untyped-def]
    return np.zeros((len(payments), 32)), np.zeros(len(payments), np.bool_)
