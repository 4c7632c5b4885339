"""One terminal with a very long history gets large batches under load: the payments elsewhere do not notice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from contracts.online_state import terminal_key
from tests.faults.test_under_load import START, System, children, system, under_load
from tests.serving.running import KEYS, body, ok
from tests.serving.test_long_histories import fill

__all__ = ["system"]
BUSY = 999_999
BATCHES, SIZE = 4, 5_000
MEBIBYTE = 2**20


def send(system: System, number: int) -> list[bool]:
    """Score one batch at the busy terminal; whether each answer is degraded."""
    first = 10**9 + number * SIZE
    batch = [body(first + n, first + n, BUSY, 100, START + number * SIZE + n) for n in range(SIZE)]
    url = f"http://127.0.0.1:{system.scorer.port}/v1/score/batch"
    answer = httpx.post(url, json={"transactions": batch}, headers={"X-API-Key": KEYS["score"]}, timeout=120)
    return [result["degraded"] for result in ok(answer)["results"]]


def memory(pid: int) -> int:
    """The peak memory of a process, in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_a_busy_terminal_is_degraded_and_nothing_else(system: System) -> None:
    with system.state as state:
        fill(state, BUSY, 100_000, until=START)
        under_load(system, 2)
        with ThreadPoolExecutor(BATCHES) as pool:
            answers = list(pool.map(lambda number: send(system, number), range(BATCHES)))
        under_load(system, 2)
        system.clients.hold()
        assert any(degraded for batch in answers for degraded in batch)
        others = [answer["degraded"] for given in system.clients.told.answers.values() for answer in given]
        assert len(others) > 1_000
        assert not any(others)
        assert not system.clients.told.refused
        assert system.ready()
        assert state.strlen(terminal_key(BUSY)) <= 24 * 50_000 + 8
        assert state.info("memory")["used_memory_peak"] < 256 * MEBIBYTE
    assert system.scorer.process
    assert max(memory(pid) for pid in children(system.scorer.process.pid)) < 600 * MEBIBYTE
