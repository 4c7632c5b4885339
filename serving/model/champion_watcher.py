"""Watch the registry for a new champion: load it once it passes verification, keep the current one otherwise."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

from contracts.addresses import redact
from contracts.bundle import BundleError
from contracts.zones import ZoneId
from serving.errors import NotReadyError, RegistryError
from serving.model.champion import Champion
from serving.model.model_cache import ModelCache
from serving.model.registry_client import RegistryClient, Version
from serving.model.sandbox_load import load_in_sandbox
from serving.model.signature_check import SignatureCheck
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.observability.transition_logger import TransitionLogger
from serving.retries import POLLS_BEFORE_RETRY


class ChampionWatcher:
    """Holds the champion in use.

    It is swapped in one assignment, so a request uses the same champion from start to finish.
    """

    def __init__(
        self,
        registry: RegistryClient,
        cache: ModelCache,
        signatures: SignatureCheck,
        metrics: Metrics,
        poll_seconds: float,
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._signatures = signatures
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._current: Champion | None = None
        self._loaded: Version | None = None
        self._rejected: Version | None = None
        self._polls_since_rejection = 0
        self._polls_since_cached = 0
        self._transitions = TransitionLogger(
            "champion not loaded", "champion not loaded", problem="the registry has not been polled yet"
        )
        self._cached_rejected = ""

    @property
    def current(self) -> Champion:
        """The champion in use. Raises `NotReadyError` if there is none, saying why."""
        if self._current is None:
            raise NotReadyError(f"there is no model; {self.problem}")
        return self._current

    @property
    def zone(self) -> ZoneId | None:
        """The zone of the champion in use; None if there is none."""
        return self._current.bundle.bank_zone.id if self._current else None

    @property
    def problem(self) -> str:
        """What went wrong at the last poll, empty if nothing did."""
        return self._transitions.problem

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._poll_seconds)

    async def refresh(self) -> None:
        """Poll once, and load a new version. An error is logged, and the champion in use stays."""
        try:
            await self._poll()
        except Exception as error:
            # A full disk, a process that cannot be started: retried at the next poll.
            event("poll for the champion failed", logging.ERROR, exc_info=True)
            self._report(f"{type(error).__name__}: {error}")

    async def _poll(self) -> None:
        try:
            version = await self._registry.champion()
            if version is None:
                await self._fall_back("the registry has no champion: train and promote a model")
            elif version.withdrawal and self._signatures.is_withdrawn(version):
                await self._withdraw(version)
            elif version == self._loaded:
                self._report("")
            elif self._worth_loading(version):
                await self._load(version)
        except RegistryError as error:
            await self._fall_back(str(error))

    async def _fall_back(self, problem: str) -> None:
        """Without a champion in use, load the cached one."""
        self._polls_since_cached += 1
        if self._current is not None or (self._cached_rejected and self._polls_since_cached < POLLS_BEFORE_RETRY):
            self._report(problem + self._cached_rejected)
            return
        try:
            with tempfile.TemporaryDirectory(prefix="champion-") as folder:
                version = self._cache.copy(Path(folder))
                if version is None:
                    self._report(problem)
                    return
                champion = await self._load_signed(version, Path(folder))
        except BundleError as error:
            self._cached_rejected = f"; the version cached on disk is rejected because {error}"
            self._polls_since_cached = 0
            self._report(problem + self._cached_rejected)
            return
        self._cached_rejected = ""
        self._use(champion, version)
        self._report(problem)
        event("champion loaded from the cache", logging.WARNING, version=champion.version, reason=problem)

    async def _withdraw(self, version: Version) -> None:
        """Serve no model, even after a restart without the registry, until another version is champion.

        Whoever can move the alias could stop every scorer by any version that was ever withdrawn, so a model in use, or
        a cached one, stays unless it is this version.
        """
        problem = f"version {version.number} was withdrawn: promote another, or move the alias to an earlier one"
        known = self._loaded or self._cached()
        # By number: the version may have been signed again, with another key, since it was loaded.
        if known is not None and known.number != version.number:
            await self._fall_back(problem)
            return
        if self._current is not None:
            event("champion withdrawn", logging.WARNING, version=version.number, in_use=self._current.version)
        self._current, self._loaded = None, None
        self._metrics.show_no_model()
        try:
            # In a thread: another worker may hold its lock.
            await asyncio.to_thread(self._cache.clear)
        except OSError as error:
            problem += f"; its copy in SCORER_CHAMPION_DIR stays ({error.strerror}): delete it"
        self._report(problem)

    def _cached(self) -> Version | None:
        """The cached version, None if there is none that can be read."""
        try:
            cached = self._cache.read()
        except BundleError:
            return None
        return cached[0] if cached else None

    def _worth_loading(self, version: Version) -> bool:
        self._polls_since_rejection += 1
        return version != self._rejected or self._polls_since_rejection >= POLLS_BEFORE_RETRY

    async def _load(self, version: Version) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="champion-") as folder:
                await self._registry.download(version, Path(folder))
                champion = await self._load_signed(version, Path(folder))
                # In a thread: another worker may hold its lock.
                await asyncio.to_thread(self._store, version, Path(folder))
        except BundleError as error:
            self._rejected, self._polls_since_rejection = version, 0
            self._metrics.models_refused.inc()
            await self._fall_back(f"version {version.number} is rejected because {error}")
            return
        self._use(champion, version)
        self._rejected = None
        self._report("")
        event("champion loaded", version=champion.version)

    async def _load_signed(self, version: Version, files: Path) -> Champion:
        """Load files that nothing else writes, once their signature is verified. Raises `BundleError`."""
        self._signatures.check(version, files)
        return await load_in_sandbox(files, version.number)

    def _use(self, champion: Champion, version: Version) -> None:
        self._current, self._loaded, self._cached_rejected = champion, version, ""
        self._metrics.show_model(champion.version, champion.bundle.features_version)

    def _store(self, version: Version, files: Path) -> None:
        try:
            self._cache.keep(version, files)
        except OSError as error:
            # It is served all the same; a start without the registry finds an older version, or none.
            event("champion not cached", logging.WARNING, version=version.number, reason=repr(error))

    def _report(self, problem: str) -> None:
        problem = redact(problem)
        self._metrics.model_problem.set(bool(problem))
        self._transitions.update(problem, in_use=self._current.version if self._current else None)
