import socket

import pytest

from jaxhdr.app import running
from jaxhdr.cli import serve
from jaxhdr.cli.main import main
from jaxhdr.errors import UserError


@pytest.fixture
def started(monkeypatch):
    """What the server was started with."""
    calls = []
    monkeypatch.setattr(
        running, "serve", lambda model, **options: calls.append((model, options))
    )
    return calls


def error(capsys):
    said = capsys.readouterr().err
    assert said.startswith("jaxhdr: error: ") and said.count("\n") == 1
    assert not said.strip().endswith(".")
    return said


def test_the_options_arrive(started, capsys):
    words = ["--port", "0", "--max-size", "7", "--max-photographs", "3", "--max-kept"]
    words += ["9", "--max-megapixels", "5", "--model", "aky", "--tile", "0"]
    assert main(["serve", *words]) == 0
    ((model, options),) = started
    assert model["model"] == "aky" and model["tile"] is None
    assert (options["host"], options["port"]) == ("127.0.0.1", 0)
    limits = options["limits"]
    assert (limits.upload_bytes, limits.photographs) == (7_000_000, 3)
    assert (limits.kept_bytes, limits.pixels) == (9_000_000, 5_000_000)
    assert capsys.readouterr().err == ""


def test_another_host_is_warned_of(started, capsys):
    assert main(["serve", "--host", "0.0.0.0"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("jaxhdr: warning: --host 0.0.0.0 lets everyone")
    assert main(["serve", "--host", "localhost"]) == 0
    assert capsys.readouterr().err == ""


def test_the_browser_is_opened_only_if_asked(started, capsys, monkeypatch):
    addresses = []
    monkeypatch.setattr(serve.webbrowser, "open", addresses.append)
    for words in ([], ["--open"]):
        main(["serve", *words])
        started[-1][1]["announce"]("http://127.0.0.1:1/")
    assert addresses == ["http://127.0.0.1:1/"]
    assert capsys.readouterr().err.count("jaxhdr serves http://127.0.0.1:1/ ") == 2


@pytest.mark.parametrize("name", ["size", "photographs", "megapixels", "kept"])
def test_a_limit_of_zero_is_refused(started, capsys, name):
    assert main(["serve", f"--max-{name}", "0"]) == 2
    assert f"--max-{name} is 0" in error(capsys)
    assert not started


def test_a_missing_extra_is_named(started, capsys, monkeypatch):
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda name: None)
    assert main(["serve"]) == 2
    assert "pip install 'jaxhdr[app]'" in error(capsys)
    assert not started


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--port", "65536"], "expected at most 65535"),
        (["--port", "-1"], "'-1' is not a number of ports"),
        (["--host", "8.8.8.8"], "no address of this machine"),
        (["--host", "a b"], "no address of this machine"),
        (["--host", "é" * 300], "no address of this machine"),
        (["photo.jpg"], "unrecognized arguments"),
    ],
)
def test_mistakes_have_one_sentence(capsys, words, expected):
    assert main(["serve", *words]) == 2
    assert expected in capsys.readouterr().err


def test_a_port_in_use_and_a_reserved_one_are_named(capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert f"port {port} is in use" in error(capsys)

    def refuse(self, address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(running.socket.socket, "bind", refuse)
    with pytest.raises(UserError, match="port 80 is reserved"):
        running.listening("127.0.0.1", 80)
