"""For the exercise `hot-swap`: a registry whose bundles may be damaged, for the pipeline's own champions."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from contracts.bundle import verify, write_manifest
from serving.model.champion import FILES
from serving.model.registry_client import Version


class FakeRegistry:
    """The pipeline's registry: `version` is the champion, and `damaged` truncates a file of its bundle."""

    version = Version("0", "models:/m-0")
    damaged = False

    async def champion(self) -> Version:
        """The current version."""
        return self.version

    async def download(self, version: Version, folder: Path) -> None:
        """Write the bundle's files."""
        for name in FILES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{name} of {version.number}")
        write_manifest(folder, FILES)
        if self.damaged:
            (folder / FILES[0]).write_text("half of a fi")


class NoSignatures:
    """Accepts every version: these bundles are not signed."""

    def check(self, version: Version, root: Path) -> None:
        """Check nothing."""


async def load_verified(folder: Path, version: str) -> SimpleNamespace:
    """Verify a bundle's files as the pipeline does, and load a stub instead of real trees. Raises `BundleError`."""
    verify(folder, FILES)
    return SimpleNamespace(version=version, bundle=SimpleNamespace(features_version="3"))
