"""A champion is withdrawn by a signed decision, permanently."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.signature import PUBLIC_KEYS, SIGNATURE_TAG, WITHDRAWAL_TAG, is_withdrawn, parse_public_keys
from modeling.errors import ModelingError
from modeling.promote import promote
from modeling.tracking.mlflow_client import registry
from modeling.withdraw import withdraw
from tests.modeling.conftest import SettingsFor
from tests.modeling.test_tracking import champion, trained, version_tags

pytestmark = pytest.mark.usefixtures("few_trees")


def test_a_withdrawn_champion_stays_withdrawn_and_the_next_one_meets_no_champion(settings_for: SettingsFor) -> None:
    settings = settings_for()
    run_id = trained(settings)
    assert promote(run_id, settings)["promoted"]
    assert withdraw("1", settings)["withdrawn"]
    tags = version_tags(settings, "1")
    keys = parse_public_keys((settings.secrets_dir / PUBLIC_KEYS).read_text())
    assert is_withdrawn(keys, tags[WITHDRAWAL_TAG], settings.model_name, "1", tags[SIGNATURE_TAG])
    assert withdraw("1", settings) == {
        "model_version": "1", "withdrawn": False, "reason": "it was already withdrawn"
    }  # fmt: skip
    # The alias stays: only a signed withdrawal tells scorers that there shall be no champion.
    assert champion(settings) == "1"
    for sign_again in (False, True):
        again = promote(run_id, settings, sign_again=sign_again)
        assert not again["promoted"]
        assert again["reason"].startswith("it was withdrawn")
    assert version_tags(settings, "1")[SIGNATURE_TAG] == tags[SIGNATURE_TAG]
    # The same data as the champion's: only a champion that does not count lets it through.
    following = promote(trained(settings), settings)
    assert following["promoted"]
    assert following["reason"].startswith("there was no champion")
    assert champion(settings) == "2"
    with pytest.raises(ModelingError, match=r"version 1 of .* is not the champion \(version 2 is\)"):
        withdraw("1", settings)


def test_without_a_champion_or_the_key_nothing_is_withdrawn(settings_for: SettingsFor, tmp_path: Path) -> None:
    settings = settings_for(model_name="none")
    with pytest.raises(ModelingError, match="there is none"):
        withdraw("1", settings)
    with pytest.raises(ModelingError, match="the key that signs"):
        withdraw("1", settings_for(model_name="none", secrets_dir=tmp_path))


@pytest.mark.parametrize("name", ["MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"])
def test_variables_that_would_continue_another_run_are_ignored(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import mlflow

    monkeypatch.setenv(name, "0123")
    with registry(settings_for(model_name="steered")) as client, mlflow.start_run() as run:
        found = client.get_run(run.info.run_id)
        assert client.get_experiment(found.info.experiment_id).name == "fraud"
        assert run.info.run_id != "0123"


def test_a_registry_at_another_address_is_refused(settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(model_name="elsewhere")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://bob:s3cr3t@127.0.0.1:1")
    with pytest.raises(ModelingError, match=r"MLFLOW_REGISTRY_URI is http://.*unset MLFLOW_REGISTRY_URI") as caught:
        withdraw("1", settings)
    assert "s3cr3t" not in str(caught.value)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"{settings.mlflow_tracking_uri}/")
    with pytest.raises(ModelingError, match="there is none"):
        withdraw("1", settings)


@pytest.mark.parametrize("uri", ["http://bob:s3cr3t@127.0.0.1:1", "http://bob:s3c/r3t@127.0.0.1:1"])
def test_a_server_that_does_not_answer_is_named_without_its_password(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ModelingError) as caught:
        withdraw("1", settings_for(mlflow_tracking_uri=uri))
    assert "127.0.0.1:1" in str(caught.value)
    assert "r3t" not in str(caught.value)


@pytest.mark.parametrize(
    "variables",
    [{"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "fd00::/8"}, {"ALL_PROXY": "socks5://127.0.0.1:1"}],
)
def test_a_local_mlflow_is_asked_without_a_proxy(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower(), value)
    with pytest.raises(ModelingError, match="there is none"):
        withdraw("1", settings_for(model_name="proxied"))
