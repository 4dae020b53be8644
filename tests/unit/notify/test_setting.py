"""The `[notify]` table: what it may say, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from smithers.errors import NotifyInvalid
from smithers.notify.setting import Settings, load_settings
from smithers.records import WANTED, NoticeKind


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / ".smithers"
    folder.mkdir(parents=True)
    return folder / "smithers.db"


def load(store: Path, text: str, **environment: str) -> Settings | None:
    store.with_name("config.toml").write_text(text)
    nowhere = str(store.parent.parent / "nowhere")
    return load_settings(store, {"XDG_CONFIG_HOME": nowhere, **environment})


def test_without_a_file_nobody_is_told(store: Path, tmp_path: Path) -> None:
    assert load_settings(store, {"XDG_CONFIG_HOME": str(tmp_path)}) is None


@pytest.mark.parametrize("text", ["", "[other]\nx = 1", "[notify]\n", '[notify]\non = ["failed"]'])
def test_without_a_way_nobody_is_told(store: Path, text: str) -> None:
    assert load(store, text) is None


def test_two_lines_are_enough(store: Path) -> None:
    found = load(store, '[notify]\ncommand = "mail me"')
    assert found is not None
    assert (found.command, found.webhook, found.desktop) == ("mail me", None, False)
    assert found.folder == store.parent.parent
    assert found.on == WANTED == frozenset(NoticeKind) - {"event", "cancelled", "test"}


def test_all_keys(store: Path) -> None:
    found = load(
        store,
        '[notify]\ncommand = ["sh", "x y"]\nwebhook = "https://h.test/a?b=c"\nsecret = "s"\n'
        'url = "https://box.test:7331/"\ndesktop = true\non = ["event", "cancelled"]',
    )
    assert found is not None
    assert found.command == ("sh", "x y")
    assert (found.webhook, found.secret, found.url) == ("https://h.test/a?b=c", "s", "https://box.test:7331")
    assert found.desktop
    assert found.on == {NoticeKind.EVENT, NoticeKind.CANCELLED}


def test_the_file_beside_the_store_comes_before_the_users(store: Path, tmp_path: Path) -> None:
    users = tmp_path / "config" / "smithers"
    users.mkdir(parents=True)
    (users / "config.toml").write_text('[notify]\ncommand = "user"')
    environment = {"XDG_CONFIG_HOME": str(users.parent)}

    found = load_settings(store, environment)
    assert found is not None
    assert (found.command, found.file, found.folder) == ("user", users / "config.toml", store.parent.parent)
    store.with_name("config.toml").write_text("[other]\nx = 1")
    found = load_settings(store, environment)
    assert found is not None
    assert found.command == "user"
    store.with_name("config.toml").write_text("[notify]")  # nobody is told of this project
    assert load_settings(store, environment) is None


def test_a_secret_may_stand_in_the_environment(store: Path) -> None:
    text = '[notify]\nwebhook = "https://h.test"\nsecret_env = "HOOK"'
    found = load(store, text, HOOK="s3cret")
    assert found is not None
    assert found.secret == "s3cret"
    with pytest.raises(NotifyInvalid, match="names HOOK, which is not set"):
        load(store, text)


@pytest.mark.parametrize(
    ("text", "said", "key"),
    [
        ("[notify", "is not TOML", None),
        ("notify = 3", "notify is a table, `[notify]`, not a number", "notify"),
        ('[notify]\ncomand = "x"', "no key 'comand'; did you mean 'command'?", "comand"),
        ("[notify]\ncommand = 3", "notify.command is a line for the shell, or a list of words", "command"),
        ('[notify]\ncommand = " "', "notify.command is a line", "command"),
        ("[notify]\ncommand = []", "not such a list", "command"),
        ('[notify]\ncommand = ["", "x"]', "not such a list", "command"),
        ('[notify]\ncommand = ["x", 3]', "not such a list", "command"),
        ("[notify]\nwebhook = true", "not a boolean", "webhook"),
        ('[notify]\nwebhook = "ftp://h.test"', "notify.webhook is not an address", "webhook"),
        ('[notify]\nwebhook = "https://"', "notify.webhook is not an address", "webhook"),
        ('[notify]\nwebhook = "https://h:x"', "notify.webhook is not an address", "webhook"),
        ('[notify]\nwebhook = "https://h.test/a b"', "notify.webhook is not an address", "webhook"),
        ('[notify]\nwebhook = "https://h.test/\\n"', "notify.webhook is not an address", "webhook"),
        ('[notify]\nwebhook = "https://me:pw@h.test"', "cannot hold a name or a password", "webhook"),
        ('[notify]\nurl = "https://h.test/?a=b"', "cannot hold anything behind", "url"),
        ("[notify]\nsecret = 'x'", "there is none", "secret"),
        ('[notify]\nwebhook = "https://h.test"\nsecret = ""', "not an empty text", "secret"),
        ('[notify]\nwebhook = "https://h.test"\nsecret = 1', "not a number", "secret"),
        ('[notify]\nsecret = "a"\nsecret_env = "B"', "both secret and secret_env", "secret_env"),
        ("[notify]\nsecret_env = 1", "the name of a variable", "secret_env"),
        ("[notify]\ndesktop = 'yes'", "true or false, not this text", "desktop"),
        ("[notify]\ndesktop = 2020-01-01", "not a date", "desktop"),
        ("[notify]\non = {}", "not a table", "on"),
        ('[notify]\non = ["finish"]', "'finish'; did you mean 'finished'?", "on"),
        ('[notify]\non = ["test"]', "notify.on has 'test'", "on"),
        ("[notify]\non = [1]", "notify.on has 1", "on"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_file_and_key(
    store: Path, text: str, said: str, key: str | None
) -> None:
    with pytest.raises(NotifyInvalid) as caught:
        load(store, text)
    assert said in caught.value.message
    assert str(store.with_name("config.toml")) in caught.value.message
    assert caught.value.details["file"] == str(store.with_name("config.toml"))
    assert caught.value.details.get("key") == key


def test_no_refusal_repeats_what_may_be_a_secret(store: Path) -> None:
    texts = (
        'webhook = "ftp://h.test/T0PSECRET"',
        'webhook = "https://T0PSECRET@h.test"',
        'webhook = "https://h.test"\nsecret = ["T0PSECRET"]',
        'secret = "T0PSECRET"\nsecret_env = "T0PSECRET"',
        'command = ["curl", "T0PSECRET", 1]',
    )
    for text in texts:
        with pytest.raises(NotifyInvalid) as caught:
            load(store, f"[notify]\n{text}")
        assert "T0PSECRET" not in str(caught.value.payload())


def test_settings_show_neither_the_address_nor_the_secret(store: Path) -> None:
    found = load(store, '[notify]\nwebhook = "https://h.test/T0PSECRET"\nsecret = "T0PSECRET"')
    assert "T0PSECRET" not in repr(found)


def test_a_file_that_everybody_may_write_is_refused(store: Path) -> None:
    file = store.with_name("config.toml")
    file.write_text('[notify]\ncommand = "x"')
    file.chmod(0o666)
    with pytest.raises(NotifyInvalid, match="can be written by everybody"):
        load_settings(store, {})


def test_a_file_of_another_user_is_not_followed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(store, '[notify]\ncommand = "x"')
    assert found is not None
    owner = store.with_name("config.toml").stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    if owner != 0:  # root's files are trusted
        assert load(store, '[notify]\ncommand = "x"') is None


def test_a_folder_in_the_files_place_is_refused(store: Path) -> None:
    store.with_name("config.toml").mkdir()
    with pytest.raises(NotifyInvalid, match="cannot be read"):
        load_settings(store, {})
