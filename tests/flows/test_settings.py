from pathlib import Path

import pytest

from flows import settings
from flows.settings import SettingsError


def test_the_caller_wins_over_the_variable_over_the_file_over_the_default(tmp_path, monkeypatch):
    assert settings.load(home=tmp_path).min_votes == 2
    (tmp_path / "taxalake.toml").write_text("min_votes = 3\nseed = 5\n")
    assert settings.load(home=tmp_path).min_votes == 3
    monkeypatch.setenv("TAXALAKE_MIN_VOTES", "4")
    assert settings.load(home=tmp_path).min_votes == 4
    assert settings.load(home=tmp_path, min_votes=5).min_votes == 5
    assert settings.load(home=tmp_path, min_votes=None).seed == 5


def test_an_unknown_key_is_named_with_its_neighbour(tmp_path, monkeypatch):
    (tmp_path / "taxalake.toml").write_text("min_vote = 3\n")
    with pytest.raises(SettingsError, match=r"'min_vote'.*did you mean min_votes"):
        settings.load(home=tmp_path)
    (tmp_path / "taxalake.toml").unlink()
    monkeypatch.setenv("TAXALAKE_BACKBON", "x")
    with pytest.raises(SettingsError, match="TAXALAKE_BACKBON is no setting; did you mean TAXALAKE_BACKBONE"):
        settings.load(home=tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_probability", 50), ("batch_size", 0), ("embed_shard_tiles", 0), ("compile", "sometimes")],
)
def test_a_value_that_makes_no_sense_is_shown(tmp_path, name, value):
    with pytest.raises(SettingsError, match=rf"'{name}' cannot be {value!r}"):
        settings.load(home=tmp_path, **{name: value})


def test_the_home_is_found_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TAXALAKE_HOME", str(tmp_path))
    assert settings.load().home == tmp_path
    assert settings.load().lake.root == str(tmp_path / "lake")
    assert settings.load().registry_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_server_is_asked_for_by_variable_or_active_profile(tmp_path, monkeypatch):
    from flows.server import server_configured

    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert not server_configured()
    Path(tmp_path / "profiles.toml").write_text(
        'active = "local"\n[profiles.local]\n[profiles.far]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n'
    )
    assert not server_configured()
    monkeypatch.setenv("PREFECT_PROFILE", "far")
    assert server_configured()
    monkeypatch.delenv("PREFECT_PROFILE")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert server_configured()
