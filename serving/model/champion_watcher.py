"""Keep the champion: ask the registry, take a new version when it has proved itself, keep the old one otherwise."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path
from typing import Final

from contracts.bundle import BundleError
from serving.errors import NotReadyError, RegistryError
from serving.model.champion import Champion
from serving.model.model_cache import LastGood
from serving.model.registry_client import Registry, Version
from serving.model.sandbox_load import try_then_load
from serving.observability.logging import event
from serving.observability.metrics import Metrics

POLLS_BEFORE_RETRY: Final = 15
"""A refused version is tried again after so many polls: its files may have been damaged on the way."""


class Champions:
    """Holds the champion in use. It is replaced as a whole, so a request that began with one ends with it."""

    def __init__(self, registry: Registry, last_good: LastGood, metrics: Metrics, poll_seconds: float) -> None:
        self._registry = registry
        self._last_good = last_good
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._current: Champion | None = None
        self._loaded: Version | None = None
        self._refused: Version | None = None
        self._polls_since_refusal = 0
        self._problem = "no champion has been asked for yet"
        self._last_good_refused = ""

    @property
    def current(self) -> Champion:
        """The champion in use. Raises `NotReadyError`, saying why there is none."""
        if self._current is None:
            raise NotReadyError(f"there is no model: {self._problem}")
        return self._current

    @property
    def problem(self) -> str:
        """What went wrong at the last poll, empty where nothing did."""
        return self._problem

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._poll_seconds)

    async def refresh(self) -> None:
        """Ask once, and take a new version in. What goes wrong is said, and the champion in use stays."""
        try:
            await self._ask()
        except Exception as error:
            # A disk that is full, a process that cannot be started: it is tried again at the next poll.
            event("champion not asked for", logging.ERROR, exc_info=True)
            self._say(f"{type(error).__name__}: {error}")

    async def _ask(self) -> None:
        try:
            version = await self._registry.champion()
            if version is None:
                self._say("the registry has no champion yet: train and promote a model")
            elif version == self._loaded:
                self._say("")
            elif self._worth_trying(version):
                await self._take(version)
        except RegistryError as error:
            await self._fall_back(str(error))

    async def _fall_back(self, problem: str) -> None:
        """Where there is no champion in use, serve what proved itself before."""
        if self._current is not None or self._last_good_refused:
            self._say(problem + self._last_good_refused)
            return
        try:
            kept = self._last_good.read()
            if kept is None:
                self._say(problem)
                return
            version, files = kept
            champion = await try_then_load(files, version.number)
        except BundleError as error:
            self._last_good_refused = f"; and the version kept on disk is refused: {error}"
            self._say(problem + self._last_good_refused)
            return
        self._use(champion, version)
        self._say(problem)
        event("champion loaded from disk", logging.WARNING, version=champion.version, reason=problem)

    def _worth_trying(self, version: Version) -> bool:
        self._polls_since_refusal += 1
        return version != self._refused or self._polls_since_refusal >= POLLS_BEFORE_RETRY

    async def _take(self, version: Version) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="champion-") as folder:
                await self._registry.download(version, Path(folder))
                champion = await try_then_load(Path(folder), version.number)
                # Away from the payments: others may hold its lock.
                await asyncio.to_thread(self._keep, version, Path(folder))
        except BundleError as error:
            self._refused, self._polls_since_refusal = version, 0
            self._metrics.models_refused.inc()
            await self._fall_back(f"version {version.number} is refused: {error}")
            return
        self._use(champion, version)
        self._refused = None
        self._say("")
        event("champion loaded", version=champion.version)

    def _use(self, champion: Champion, version: Version) -> None:
        self._current, self._loaded, self._last_good_refused = champion, version, ""
        self._metrics.show_model(champion.version, champion.bundle.features_version)

    def _keep(self, version: Version, files: Path) -> None:
        try:
            self._last_good.keep(version, files)
        except OSError as error:
            # It is served all the same; a start without the registry would find the one before, or none.
            event("champion not kept on disk", logging.WARNING, version=version.number, reason=repr(error))

    def _say(self, problem: str) -> None:
        """Log a problem when it is new, not at every poll."""
        self._metrics.model_problem.set(bool(problem))
        if problem and problem != self._problem:
            in_use = self._current.version if self._current else None
            event("champion not taken", logging.WARNING, reason=problem, in_use=in_use)
        self._problem = problem
