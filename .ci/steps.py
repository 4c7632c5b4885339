"""Run the steps of a plan in parallel and compare the time with its budget.

`python3 .ci/steps.py <plan.toml> <folder for logs>`, with only Python 3.11's standard library. A failed step stops only
the steps that depend on it. Each step logs to its own file; the end of a failed step's log is printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

LINES_SHOWN = 400
"""How many lines of a failed step's log are printed."""


class PlanError(Exception):
    """An invalid plan; says what is wrong."""


@dataclass(frozen=True)
class Step:
    """One command of the plan; `seconds` is its budget."""

    name: str
    command: str
    seconds: int
    after: tuple[str, ...] = ()
    background: bool = False
    """Takes no slot, because it mostly waits."""
    only_with: str = ""
    """An environment variable; the step is skipped unless it names a folder."""


@dataclass(frozen=True)
class Plan:
    """The steps in order of priority, and their time budget."""

    steps: tuple[Step, ...]
    total_minutes: float
    fails_at: float
    """A run fails when it takes this many times the total: shared machines are sometimes slow."""
    slots: int


@dataclass(frozen=True)
class Outcome:
    """How a step ended: its exit code (None: not run), wall-clock seconds and CPU seconds."""

    step: Step
    code: int | None
    began: float = 0.0
    wall: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True)
class Running:
    """A running step and its start time. Keeps the process: `Popen` reaps a child when it is garbage-collected."""

    step: Step
    process: subprocess.Popen[bytes]
    started: float


@dataclass
class Schedule:
    """Decides which step may start; pure, so that a run and a forecast follow the same rule."""

    plan: Plan
    waiting: list[Step] = field(default_factory=list)
    running: dict[str, Step] = field(default_factory=dict)
    done: dict[str, bool] = field(default_factory=dict)
    """Whether each finished step succeeded; a step that was not run did not."""

    def __post_init__(self) -> None:
        self.waiting = list(self.plan.steps)

    def startable(self) -> Step | None:
        """The first step whose dependencies are done and that has a free slot."""
        free = self.plan.slots - sum(not step.background for step in self.running.values())
        for step in self.waiting:
            if all(self.done.get(name) for name in step.after) and (step.background or free > 0):
                return step
        return None

    def start(self, step: Step) -> None:
        """Mark a step as running."""
        self.waiting.remove(step)
        self.running[step.name] = step

    def end(self, name: str, well: bool) -> None:
        """Mark a step as done."""
        del self.running[name]
        self.done[name] = well

    def stranded(self) -> Step | None:
        """Remove and return a step that depends on a failed one and will not run; None if there is none."""
        for step in self.waiting:
            if any(self.done.get(name) is False for name in step.after):
                self.waiting.remove(step)
                self.done[step.name] = False
                return step
        return None


def read_plan(path: Path, environment: Mapping[str, str] = os.environ) -> Plan:
    """The plan, without the steps that this machine cannot run. Raises `PlanError`."""
    stated = tomllib.loads(path.read_text())
    try:
        steps = [_step(one) for one in stated["step"]]
        budget = stated["budget"]
        plan = Plan(tuple(steps), float(budget["total_minutes"]), float(budget["fails_at"]), int(budget["slots"]))
    except (KeyError, TypeError) as error:
        raise PlanError(f"{path}: {error}") from error
    seen: set[str] = set()
    for step in sorted(steps, key=lambda step: step.name):
        if step.name in seen:
            raise PlanError(f"{path}: two steps are called {step.name!r}")
        seen.add(step.name)
        if unknown := set(step.after) - {other.name for other in steps}:
            raise PlanError(f"{path}: {step.name!r} waits for {sorted(unknown)}, which is not a step")
    here = {step.name for step in steps if not step.only_with or Path(environment.get(step.only_with) or "/-").is_dir()}
    kept = [Step(**(vars(step) | {"after": tuple(n for n in step.after if n in here)})) for step in steps]
    plan = replace(plan, steps=tuple(step for step in kept if step.name in here))
    forecast(plan)
    return plan


def _step(stated: dict[str, Any]) -> Step:
    return Step(**(stated | {"after": tuple(stated.get("after", ()))}))


def forecast(plan: Plan) -> float:
    """Seconds until the last step ends if each uses its whole budget. Raises `PlanError` for steps that never start."""
    schedule, ends, now = Schedule(plan), dict[str, float](), 0.0
    while schedule.waiting or schedule.running:
        while step := schedule.startable():
            schedule.start(step)
            ends[step.name] = now + step.seconds
        if not schedule.running:
            raise PlanError(f"these steps wait for one another: {[step.name for step in schedule.waiting]}")
        name = min(schedule.running, key=lambda name: ends[name])
        now = ends[name]
        schedule.end(name, True)
    return now


def run_plan(plan: Plan, logs: Path) -> list[Outcome]:
    """Run every step; returns the outcomes in order of completion."""
    logs.mkdir(parents=True, exist_ok=True)
    schedule, outcomes, began = Schedule(plan), list[Outcome](), time.monotonic()
    running: dict[int, Running] = {}
    while True:
        while stranded := schedule.stranded():
            outcomes.append(Outcome(stranded, None, time.monotonic() - began))
            _say(began, f"{stranded.name}: not run because a step that it needs failed")
        while step := schedule.startable():
            schedule.start(step)
            _say(began, f"{step.name}: {step.command}")
            one = _start(step, logs)
            running[one.process.pid] = one
        if not running:
            return outcomes
        outcome = _next_to_end(running, began)
        schedule.end(outcome.step.name, outcome.code == 0)
        outcomes.append(outcome)
        _report(outcome, logs, began)


def _start(step: Step, logs: Path) -> Running:
    with log_of(step, logs).open("wb") as out:
        command = ["bash", "-euc", step.command]
        return Running(
            step, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out), time.monotonic()
        )


def _next_to_end(running: dict[int, Running], began: float) -> Outcome:
    """Wait for the next step to end; `wait4` reports the CPU time of that child and its descendants."""
    pid, status, usage = os.wait4(-1, 0)
    one, now = running.pop(pid), time.monotonic()
    one.process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return Outcome(one.step, one.process.returncode, one.started - began, now - one.started, cpu)


def log_of(step: Step, logs: Path) -> Path:
    """The path of a step's log."""
    return logs / f"{step.name.replace(' ', '-')}.log"


def _report(outcome: Outcome, logs: Path, began: float) -> None:
    if outcome.code == 0:
        _say(began, f"{outcome.step.name}: done in {outcome.wall:.0f} s")
        return
    log = log_of(outcome.step, logs)
    print(*log.read_text(errors="replace").splitlines()[-LINES_SHOWN:], sep="\n")
    _say(began, f"{outcome.step.name}: FAILED with exit code {outcome.code}; full log: {log}")


def _say(began: float, text: str) -> None:
    print(f"### {time.monotonic() - began:5.0f} s  {text}", flush=True)


def table(outcomes: list[Outcome]) -> str:
    """Where the time went: one line per step, in order of start."""
    lines = [f"{'step':<20}{'began':>8}{'seconds':>10}{'budget':>8}{'CPU':>8}"]
    for one in sorted(outcomes, key=lambda one: one.began):
        note = "failed" if one.code else "not run" if one.code is None else ""
        note = note or ("over its budget" if one.wall > one.step.seconds else "")
        figures = f"{one.began:>8.0f}{one.wall:>10.0f}{one.step.seconds:>8}{one.cpu:>8.0f}"
        lines.append(f"{one.step.name:<20}{figures}  {note}".rstrip())
    return "\n".join(lines)


def over_budget(plan: Plan, outcomes: list[Outcome], seconds: float) -> str:
    """The message for a run over its budget; empty if it was not."""
    if seconds <= 60 * plan.total_minutes:
        return ""
    over = [one for one in outcomes if one.wall > one.step.seconds]
    blamed = ", ".join(f"{one.step.name} by {one.wall - one.step.seconds:.0f} s" for one in over) or "none"
    return (
        f"the run took {seconds / 60:.1f} minutes of {plan.total_minutes:g} (.ci/steps.toml); steps over their own "
        f"budgets: {blamed}. Make a step faster or run it nightly"
    )


def main(plan_file: str, logs: str) -> int:
    """The command; returns 1 if a step failed or the run took far too long, 2 for an invalid plan."""
    try:
        plan = read_plan(Path(plan_file))
    except PlanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    began = time.monotonic()
    outcomes = run_plan(plan, Path(logs))
    seconds = time.monotonic() - began
    print(f"\n{table(outcomes)}\n\ntotal: {seconds:.0f} s, budget: {60 * plan.total_minutes:.0f} s")
    failed = [f"{one.step.name} failed" for one in outcomes if one.code]
    if over := over_budget(plan, outcomes, seconds):
        too_long = seconds > 60 * plan.total_minutes * plan.fails_at
        if too_long:
            failed.append(over)
        else:
            print(f"warning: {over}")
    for problem in failed:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
