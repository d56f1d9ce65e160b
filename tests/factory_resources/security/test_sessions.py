"""Sessions: named by the hash of an id that is stored nowhere, and ended by any process."""

from pathlib import Path

import pytest

from factory_resources.home.home import Home
from factory_resources.security import sessions as store
from factory_resources.security.sessions import Sessions
from tests.disks import small_disk


@pytest.fixture
def sessions(home: Home) -> Sessions:
    home.require_writable()
    return Sessions(home)


def test_a_session_is_found_by_its_id_only(sessions: Sessions) -> None:
    text, session = sessions.begin("jane", "password", user=1000, browser="Firefox")
    found = sessions.find(text)
    assert found is not None
    assert (found.person, found.user, found.browser) == ("jane", 1000, "Firefox")
    assert sessions.find(session.sha256) is None
    assert sessions.find("") is None


def test_the_id_is_stored_nowhere(sessions: Sessions, home: Home) -> None:
    text, _ = sessions.begin("jane", "password")
    files = [path for path in home.path.rglob("*") if path.is_file()]
    assert files
    assert not any(text.encode() in path.read_bytes() for path in files)
    assert sessions.file.stat().st_mode & 0o077 == 0


def test_a_session_outlives_a_restart_and_ends_at_once_in_another_process(home: Home) -> None:
    home.require_writable()
    first, second = Sessions(home), Sessions(home)
    text, session = first.begin("jane", "password")
    other, _ = first.begin("tom", "password")
    assert second.find(text)
    assert [ended.person for ended in second.end([session.sha256])] == ["jane"]
    assert first.find(text) is None
    assert second.end([session.sha256]) == ()
    assert first.find(other)


def test_use_is_noted_durably_within_a_minute(
    home: Home, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, session = sessions.begin("jane", "password")
    monkeypatch.setattr(store.time, "time", lambda: session.began + 3600)
    assert sessions.find(text)
    [stored] = Sessions(home).of("jane")
    assert stored.used == session.began + 3600


def test_a_session_is_found_and_its_use_counts_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        sessions = Sessions(Home(disk.folder / "home"))
        text, session = sessions.begin("jane", "password")
        with disk.filled(0):
            for hours in (1.5, 3.0):
                monkeypatch.setattr(store.time, "time", lambda h=hours: session.began + h * 3600)
                assert sessions.find(text) == session
        sessions.find(text)
        [stored] = Sessions(Home(disk.folder / "home")).of("jane")
        assert stored.used == session.began + 3 * 3600


def test_the_oldest_end_if_there_are_too_many(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_MOST", 3)
    texts = [sessions.begin("jane", "password")[0] for _ in range(5)]
    assert [bool(sessions.find(text)) for text in texts] == [False, False, True, True, True]


def test_a_changed_file_is_one_line(sessions: Sessions) -> None:
    sessions.begin("jane", "password")
    for content in ('[{"who": 1}]', "[", "1"):
        Path(sessions.file).write_text(content)
        with pytest.raises(store.StorageError, match="cannot be read"):
            sessions.find("x")


def test_a_session_ends_if_the_clock_was_ahead_when_it_began(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = store.time.time()
    monkeypatch.setattr(store.time, "time", lambda: now + 24 * 3600)
    sessions = Sessions(home)
    text, _ = sessions.begin("jane", "password")
    assert sessions.find(text)
    monkeypatch.setattr(store.time, "time", lambda: now)
    assert sessions.find(text) is None
    assert sessions.of("jane") == ()


def test_a_session_goes_on_if_the_clock_was_set_back_a_little(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, session = sessions.begin("jane", "password")
    monkeypatch.setattr(store.time, "time", lambda: session.began - 60)
    assert sessions.find(text)
