"""The pytest plugin behind a check: provides the learner's file as the fixture `answer`, and classifies the outcome.

One process can check several answers, so that expensive fixtures start once.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from exercises.expect import IncorrectError, UnavailableError
from exercises.outcome import NEVER_ENDS, Outcome, Result

PRINTED_LINES: Final = 20
TIMEOUT: Final = re.compile(r"Timeout \(>")
CANNOT_BE_CALLED: Final = re.compile(r"\S+\(\) (takes|missing|got an unexpected|got multiple)\b")
ENDS_PYTEST: Final = (SystemExit, KeyboardInterrupt, pytest.exit.Exception)
_plan = pytest.StashKey[dict[str, list[str]]]()
_results = pytest.StashKey[dict[str, Result]]()


class MissingNameError(Exception):
    """The learner's file lacks a name that its stub had."""


class Answer:
    """The learner's file, loaded on first use; `path` is its location."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._module: ModuleType | None = None

    def __getattr__(self, name: str) -> Any:
        if self._module is None:
            self._module = load(self.path)
        if name.startswith("__") or not hasattr(self._module, name):
            raise MissingNameError(f"there is no `{name}` in it: keep the names of the stub")
        return getattr(self._module, name)


def load(path: Path) -> ModuleType:
    """Load a file as a module. Raises whatever it raises."""
    name = f"answer_{abs(hash(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # Pickling looks up a file's definitions here.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ENDS_PYTEST as error:
        raise RuntimeError(f"{type(error).__name__}({error}) ends Python itself: do not raise it") from error
    if "pyspark" in sys.modules:
        # Spark's workers cannot import it by name: send its definitions by value.
        importlib.import_module("pyspark.cloudpickle").register_pickle_by_value(module)
    return module


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the answers to check are listed, and where to write the results."""
    parser.addoption("--plan", help="the answers of each check.py, as JSON: {check.py: [answer, ...]}")
    parser.addoption("--results", help="where to write the result of each answer, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Read the plan; there are no results yet."""
    plan = config.getoption("--plan")
    config.stash[_plan] = json.loads(Path(plan).read_text()) if plan else {}
    config.stash[_results] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test once for each answer, all tests of one answer together."""
    if "answer" in metafunc.fixturenames:
        answers = metafunc.config.stash[_plan].get(str(metafunc.definition.path), [])
        metafunc.parametrize("answer", answers, indirect=True, scope="module")


@pytest.fixture(scope="module")
def answer(request: pytest.FixtureRequest) -> Iterator[Answer]:
    """The file being checked."""
    return Answer(Path(request.param))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the tests of an answer after its first failure."""
    path = _path(item)
    if path in item.config.stash[_results]:
        pytest.skip("an earlier test of this answer failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Turn an exception that would end pytest into the learner's error, if the learner's file raised it."""
    try:
        return (yield)
    except ENDS_PYTEST as error:
        if line_of(error, _path(item)) is None:
            raise
        raise RuntimeError(f"{type(error).__name__}({error}) ends Python itself: do not raise it") from error


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record the outcome of a test."""
    report = yield
    path, results = _path(item), item.config.stash[_results]
    # A test that skips itself has not passed either.
    if call.excinfo and not report.passed and path not in results:
        results[path] = judge(call.excinfo.value, path, call.when == "setup", report.capstdout)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the result of each answer."""
    target = session.config.getoption("--results")
    if target:
        found = session.config.stash[_results]
        answers = [answer for some in session.config.stash[_plan].values() for answer in some]
        written = {path: vars(found.get(path, Result(Outcome.PASSED))) for path in answers}
        Path(target).write_text(json.dumps(written))


def _path(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params["answer"]) if callspec and "answer" in callspec.params else ""


def judge(error: BaseException, path: str, in_setup: bool, printed: str = "") -> Result:
    """Classify an exception that was raised while the answer at `path` was checked."""
    line, story, outcome = line_of(error, path), str(error), Outcome.ERROR
    if isinstance(error, IncorrectError):
        outcome, line = Outcome.INCORRECT, None
    elif isinstance(error, UnavailableError):
        outcome, line = Outcome.UNAVAILABLE, None
    elif isinstance(error, MissingNameError):
        line = None
    elif line is None and in_setup:
        outcome, story = Outcome.UNAVAILABLE, f"{type(error).__name__}: {error}"
    elif isinstance(error, NotImplementedError) and _raised_in(error, path):
        outcome, story, line = Outcome.NOT_STARTED, "", None
    elif TIMEOUT.match(story):
        story = NEVER_ENDS if line else f"{NEVER_ENDS} If the machine is very busy, try again."
    elif line is not None:
        said = error.msg if isinstance(error, SyntaxError) else re.split(r"\n\n|;\n", story)[0]
        story = f"{type(error).__name__}: {said}".rstrip(": ")
    elif isinstance(error, TypeError) and CANNOT_BE_CALLED.match(story):
        story = f"{story}: keep the parameters of the stub"
    else:
        outcome = Outcome.INCORRECT
        story = f"your code returned a value of the wrong type: {type(error).__name__}: {error}"
    # Without what pytest-timeout adds: a line of plus signs, and every thread's stack.
    own = re.split(r"^\++ Timeout \++$", printed, flags=re.MULTILINE)[0]
    return Result(outcome, story, line, "\n".join(own.rstrip().split("\n")[-PRINTED_LINES:]))


def line_of(error: BaseException, path: str) -> int | None:
    """The last line of the answer in an exception's traceback; None if there is none.

    Tracebacks of Spark's workers are found in the message.
    """
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    quoted = re.findall(rf'File "{re.escape(path)}", line (\d+)', str(error))
    lines = [number for number in frames if number] or [int(number) for number in quoted]
    if lines:
        return lines[-1]
    return line_of(error.__cause__, path) if error.__cause__ else None


def _raised_in(error: BaseException, path: str) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == path
