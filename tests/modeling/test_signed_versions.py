"""The promoting job signs what it promotes, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import modeling.promote
from contracts.bundle import METADATA, BundleError, write_manifest
from contracts.signature import PUBLIC_KEYS, SIGNATURE_TAG, SIGNING_KEY, parse_public_keys, verify_signature
from demo.secret_files import write_secrets
from exercises import earlier_champion
from modeling.errors import ModelingError
from modeling.evaluation.gate import GateDecision
from modeling.promote import promote
from modeling.settings import Settings
from modeling.tracking.bundle_signature import stored_manifest
from modeling.tracking.mlflow_client import LOGIN, registry
from tests.modeling.conftest import SettingsFor
from tests.modeling.test_tracking import FILES, champion, spoil, trained, version_tags

pytestmark = pytest.mark.usefixtures("few_trees")


def is_signed(settings: Settings, number: str, model: str | None = None) -> bool:
    """Whether the scorer would accept the version as MLflow has it now."""
    with registry(settings) as client:
        version = client.get_model_version(settings.model_name, number)
        manifest = stored_manifest(version)
    keys = parse_public_keys((settings.secrets_dir / PUBLIC_KEYS).read_text())
    try:
        verify_signature(keys, version.tags.get(SIGNATURE_TAG, ""), model or settings.model_name, number, manifest)
    except BundleError:
        return False
    return True


def approve_everything(root: Path) -> None:
    """Change the bundle and make its manifest fit, as somebody who can write to MLflow would."""
    (root / METADATA).write_text((root / METADATA).read_text().replace('"format": 1', '"format":  1'))
    write_manifest(root, FILES)


def test_only_what_passes_the_gate_is_signed(settings_for: SettingsFor) -> None:
    settings = settings_for()
    run_id = trained(settings)
    assert SIGNATURE_TAG not in version_tags(settings, "1")
    assert promote(run_id, settings)["promoted"]
    assert is_signed(settings, "1")
    assert not is_signed(settings, "1", model="another")
    assert not promote(trained(settings), settings)["promoted"]
    assert SIGNATURE_TAG not in version_tags(settings, "2")


def test_what_changes_after_the_gate_measured_it_has_no_valid_signature(
    settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for()
    run_id = trained(settings)

    def change_meanwhile(_: Any) -> GateDecision:
        spoil(settings, run_id, tmp_path / "spoilt", approve_everything)
        return GateDecision(True, "good")

    monkeypatch.setattr(modeling.promote, "first_champion", change_meanwhile)
    assert promote(run_id, settings)["promoted"]
    assert not is_signed(settings, "1")


def test_a_champion_is_signed_again_on_request_only(settings_for: SettingsFor, tmp_path: Path) -> None:
    settings = settings_for(secrets_dir=tmp_path / "secrets")
    write_secrets(settings.secrets_dir)
    run_id = trained(settings)
    assert promote(run_id, settings)["promoted"]
    (settings.secrets_dir / SIGNING_KEY).unlink()
    write_secrets(settings.secrets_dir)
    # The earlier key's signature is accepted for as long as its public key is.
    assert is_signed(settings, "1")
    assert promote(run_id, settings)["reason"].endswith("add --sign-again")
    signature = version_tags(settings, "1")[SIGNATURE_TAG]
    again = promote(run_id, settings, sign_again=True)
    assert (again["promoted"], again["reason"]) == (False, "it is already the champion, and is signed again")
    assert version_tags(settings, "1")[SIGNATURE_TAG] != signature
    newest = (settings.secrets_dir / PUBLIC_KEYS).read_text().split()[0]
    (settings.secrets_dir / PUBLIC_KEYS).write_text(newest)
    assert is_signed(settings, "1")
    assert promote(run_id, settings, sign_again=True)["reason"] == "it is already the champion"


def test_a_champion_from_before_signatures_is_signed_by_promoting_it_again(settings_for: SettingsFor) -> None:
    settings = settings_for()
    run_id = trained(settings)
    assert promote(run_id, settings)["promoted"]
    with registry(settings) as client:
        client.delete_model_version_tag(settings.model_name, "1", SIGNATURE_TAG)
    assert "it was not signed with the current key" in promote(run_id, settings)["reason"]
    assert SIGNATURE_TAG not in version_tags(settings, "1")
    promote(run_id, settings, sign_again=True)
    assert is_signed(settings, "1")


def test_the_earlier_champion_of_the_capstones_is_signed(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(model_name="earlier")
    trained(settings)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri)
    monkeypatch.setenv("MODEL_NAME", settings.model_name)
    monkeypatch.setenv("SECRETS_DIR", str(settings.secrets_dir))
    earlier_champion._sign("1")
    assert is_signed(settings, "1")


@pytest.mark.parametrize("content", [None, "", "c2hvcnQ=", "-----BEGIN PRIVATE KEY-----"])
def test_without_its_key_nothing_is_promoted(settings_for: SettingsFor, tmp_path: Path, content: str | None) -> None:
    settings = settings_for(model_name="without_key", secrets_dir=tmp_path)
    if content is not None:
        (tmp_path / SIGNING_KEY).write_text(content)
    with pytest.raises(ModelingError, match=f"cannot read {tmp_path / SIGNING_KEY}, the key that signs"):
        promote("any", settings)
    assert champion(settings) is None


def test_the_login_of_mlflow_is_read_from_its_file(
    settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        # So that what the client sets is taken back afterwards.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    settings = settings_for(secrets_dir=tmp_path)
    (tmp_path / LOGIN).write_text("training\n")
    with pytest.raises(ModelingError, match=f"{tmp_path / LOGIN} is not user:password"), registry(settings):
        pass
    (tmp_path / LOGIN).write_text("training:pass:word\n")
    with registry(settings) as client:
        credentials = client._tracking_client.store.get_host_creds()
    assert (credentials.username, credentials.password) == ("training", "pass:word")
