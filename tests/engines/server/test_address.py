"""Addresses and keys: what holds a secret is refused, and none is shown."""

import pytest

from moexray.engines.server.address import address_of
from moexray.engines.server.retrying import seconds_asked
from moexray.errors import CaptureError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"http://user:{SECRET}@127.0.0.1:8000", "holds a name or a password"),
        (f"http://{SECRET}@127.0.0.1:8000", "holds a name or a password"),
        (f"http://127.0.0.1:8000/?key={SECRET}", "goes on after its path"),
        (f"http://127.0.0.1:8000/#{SECRET}", "goes on after its path"),
        (f"ftp://{SECRET}", "no address of a server"),
        (SECRET, "no address of a server"),
        (f"http://127.0.0.1:{SECRET}", "no address of a server"),
        (f"http://127.0.0.1:99999/{SECRET}", "no address of a server"),
        (f"http://127.0.0.1/{SECRET}\n", "no address of a server"),
        (f"http://127.0.0.1/{SECRET} x", "no address of a server"),
        (f"http://[::1/{SECRET}", "no address of a server"),
        (f"http://ex\u00e4mple/{SECRET}", "no address of a server"),
        (f"http:///{SECRET}", "no address of a server"),
        ("", "no address of a server"),
        (None, "say with `url` where"),
    ],
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused_and_not_shown(url: str | None, expected: str) -> None:
    with pytest.raises(CaptureError, match=expected) as refused:
        address_of(url)
    assert SECRET not in str(refused.value)


def test_the_route_may_be_part_of_an_address() -> None:
    for url in (
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000/",
        "http://127.0.0.1:8000/v1",
        "http://127.0.0.1:8000/v1/",
    ):
        assert address_of(url).url("/version") == "http://127.0.0.1:8000/version"
    assert address_of("https://host/team/v1").url("/version") == "https://host/team/version"


def test_a_key_is_sent_in_the_clear_to_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOEXRAY_API_KEY", f" {SECRET}\n")
    for url in (
        "http://127.0.0.1:1",
        "http://localhost:1",
        "http://[::1]:1",
        "http://127.9.9.9",
        "https://example.org",
    ):
        assert address_of(url).key == SECRET
    for url in ("http://example.org", "http://10.0.0.3:8000", "http://localhost.example.org", "http://0.0.0.0:1"):
        with pytest.raises(CaptureError, match="in the clear") as refused:
            address_of(url)
        assert SECRET not in str(refused.value)
    for key in ("", "  "):
        monkeypatch.setenv("MOEXRAY_API_KEY", key)
        assert address_of("http://10.0.0.3:8000").key is None
    for key in (f"{SECRET}\r\nHost: x", f"{SECRET} x", f"{SECRET}\u00e4"):
        monkeypatch.setenv("MOEXRAY_API_KEY", key)
        with pytest.raises(CaptureError, match="a character that no header can") as refused:
            address_of("https://example.org")
        assert SECRET not in str(refused.value)


def test_the_key_is_not_in_the_representation_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOEXRAY_API_KEY", SECRET)
    address = address_of(f"http://127.0.0.1:8000/{SECRET}")
    assert SECRET not in repr(address)
    assert address.shown(f"Bearer {SECRET} is\x1b[2J wrong") == r"Bearer [key] is\x1b[2J wrong"
    assert len(address.shown("a" * 10**6)) < 250


def test_the_wait_that_a_server_asks_for_is_capped() -> None:
    assert seconds_asked("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_asked("Wed, 21 Oct 2099 07:28:00 GMT") == 60
    assert seconds_asked("Wed, 21 Oct 2099 07:28:00") == 60
    for text in ("nan", "inf", "-5", "", "1e999", "9" * 1000, "\x00", "Wed, 99 Oct 2099 99:99:99 GMT"):
        assert seconds_asked(text) in (0, 60)
