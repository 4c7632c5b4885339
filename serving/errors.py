"""What a caller or an operator of the scorer can meet."""

from __future__ import annotations


class SettingsError(Exception):
    """A setting or a secret that cannot be used; says which, where and what to do."""


class NotReadyError(Exception):
    """No payment can be scored at present; says what is missing."""


class UnfitStateError(NotReadyError):
    """The online state is there and cannot be used by this code, or not yet; says why."""


class KnownWithAnotherBodyError(Exception):
    """A payment's id is known, and what came with it is not what came with it first."""


class RegistryError(Exception):
    """The registry did not give what was asked of it; worth asking again."""
