import concurrent.futures
import socket
import stat
import time
import urllib.parse

import pytest

from jaxhdr.app.downloads import DOWNLOADS
from jaxhdr.options import HDR_SUFFIXES, TRANSFERS, ULTRA_HDR_SUFFIXES
from tests.app.serving import PHOTOGRAPH, TOKEN, served


@pytest.fixture
def server(tmp_path):
    with served(tmp_path, upload_bytes=1000) as running:
        yield running


def kept(server):
    return sorted(path.name for path in server.folder.rglob("*"))


def test_a_photograph_is_computed_and_given_in_a_format(server):
    client = server.client
    status, answer = client.upload(name="Strand%20%C3%A4.jpg")
    assert status == 201
    (photograph,) = client.wait_until_finished()
    assert photograph["id"] == answer["id"] and photograph["state"] == "done"
    assert photograph["name"] == "Strand ä.jpg"
    assert photograph["facts"]["warnings"] == ["a warning"]
    path = f"/photographs/{answer['id']}/files"
    status, file = client.api("POST", f"{path}/exr")
    assert status == 200
    status, headers, content = client.raw("GET", file["address"])
    assert (status, content) == (200, "Strand ä.jpg as exr".encode())
    assert headers["content-disposition"].endswith("UTF-8''Strand%20%C3%A4.exr")
    assert headers["content-type"] == "image/x-exr"
    assert client.api("POST", f"{path}/exr")[1] == file  # no second key
    status, refused = client.api("POST", f"{path}/avif-pq")
    assert status == 500 and "pip install 'jaxhdr[avif]'" in refused["error"]
    for unknown in ("gif", "..", "%2e%2e%2fsource", "source"):
        assert client.api("POST", f"{path}/{unknown}")[0] == 404


def test_the_viewer_has_no_origin_and_nobody_else_frames_it(server):
    server.client.upload()
    (photograph,) = server.client.wait_until_finished()
    address = f"/files/{photograph['addresses']['view']}"
    _, headers, _ = server.client.raw("GET", address)
    policy = "sandbox allow-scripts; frame-ancestors 'self'"
    assert headers["content-security-policy"] == policy
    assert headers["content-type"] == "text/html; charset=utf-8"


def test_there_is_a_download_of_every_format_that_is_written():
    choices = {(one.suffix, one.transfer) for one in DOWNLOADS.values()}
    expected = {(suffix, None) for suffix in HDR_SUFFIXES if suffix != ".tiff"}
    expected |= {(suffix, one) for suffix, all in TRANSFERS.items() for one in all}
    assert choices == expected | {(ULTRA_HDR_SUFFIXES[0], None), (".html", None)}


def test_the_page_says_which_formats_are_missing(server):
    missing = {
        one["key"]: one["missing"] for one in server.client.settings["downloads"]
    }
    assert list(missing) == list(DOWNLOADS) and missing["jxl-pq"] == "no encoder"
    assert not missing["exr"]


def test_twenty_uploads_at_once_wait_in_the_queue(server):
    server.worker.is_held = True
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        answers = list(
            threads.map(lambda n: server.client.upload(name=f"{n}.jpg"), range(20))
        )
    assert [status for status, _ in answers] == [201] * 20
    listed = server.client.wait(lambda all: all[0]["state"] == "computing")
    places = [one["place"] for one in listed]
    assert places == [None, *range(1, 20)]
    server.worker.is_held = False
    listed = server.client.wait_until_finished()
    assert server.worker.computed == [one["name"] for one in listed]


def test_more_than_the_list_holds_is_refused_until_one_is_done(tmp_path):
    with served(tmp_path, photographs=3) as server:
        server.worker.is_held = True
        with concurrent.futures.ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(lambda _: server.client.upload(), range(20)))
        statuses = [status for status, _ in answers]
        assert sorted(statuses) == [201] * 3 + [503] * 17
        assert all("full" in answer["error"] for s, answer in answers if s == 503)
        server.worker.is_held = False
        listed = server.client.wait_until_finished()
        assert server.client.upload(name="new.jpg")[0] == 201  # the oldest goes
        server.client.wait_until_finished()
        _, summary = server.client.api("GET", "/photographs")
        names = [one["name"] for one in summary["photographs"]]
        assert names == ["a.jpg", "a.jpg", "new.jpg"]
        assert "removed to make room" in summary["notices"][0]["sentence"]
        gone = listed[0]
        assert server.client.raw("GET", f"/files/{gone['addresses']['view']}")[0] == 404
        assert server.client.api("DELETE", f"/photographs/{gone['id']}")[0] == 404


def test_the_oldest_results_go_when_they_take_too_many_bytes(tmp_path):
    with served(tmp_path, kept_bytes=2500) as server:
        server.worker.result_bytes = 1000
        for number in range(4):
            server.client.upload(name=f"{number}.jpg")
        server.client.wait(
            lambda all: [one["name"] for one in all] == ["2.jpg", "3.jpg"]
        )
        assert len([name for name in kept(server) if name == "hdr.npy"]) == 2


@pytest.mark.parametrize(
    "name", ["../../x.jpg", "\0", "CON", "a" * 5000, "\u202ea", ""]
)
def test_a_hostile_name_stays_out_of_paths_and_headers(server, name):
    status, answer = server.client.upload(name=urllib.parse.quote(name))
    assert status == 201
    server.client.wait_until_finished()
    folder, *files = kept(server)
    assert len(folder) == 32 and set(folder) <= set("0123456789abcdef")
    assert files == ["hdr.npy", "source", "view.html"]
    _, file = server.client.api("POST", f"/photographs/{answer['id']}/files/exr")
    assert server.client.raw("GET", file["address"])[0] == 200


def test_files_are_for_nobody_else(server):
    server.client.upload()
    (folder,) = server.folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_is_no_photograph_fails_with_a_sentence_and_leaves_no_file(server):
    server.client.upload(b"%PDF-1.7", "a.pdf")
    (photograph,) = server.client.wait_until_finished()
    assert photograph["state"] == "failed"
    assert photograph["sentence"] == "cannot read a.pdf: its format is unknown"
    assert kept(server) == []
    status, _ = server.client.api("POST", f"/photographs/{photograph['id']}/files/exr")
    assert status == 409


def test_a_bug_ends_one_photograph_and_not_the_queue(server, caplog):
    server.worker.is_broken = True
    server.client.upload()
    (photograph,) = server.client.wait_until_finished()
    assert photograph["sentence"].endswith("this is a bug")
    assert "RuntimeError" in caplog.text
    server.worker.is_broken = False
    server.client.upload()
    assert server.client.wait_until_finished()[1]["state"] == "done"


def test_a_large_body_is_refused_before_or_while_it_is_read(server):
    status, answer = server.client.upload(bytes(1001))
    assert status == 413 and "larger than 0.001 MB" in answer["error"]
    # Chunks, so that nothing announces the size.
    chunks = iter([bytes(600)] * 3)
    status, answer = server.client.upload(chunks)
    assert status == 413
    assert server.client.photographs() == [] and kept(server) == []
    assert server.client.upload(b"")[0] == 400


def sent(server, head, body=b"", *, close=False):
    """Returns what the server answers to bytes; it may hang up at once."""
    with socket.create_connection(("127.0.0.1", server.client.port), 10) as opened:
        token = server.client.settings["token"]
        lines = ["POST /api/photographs?name=a HTTP/1.1", "Host: localhost"]
        lines += [f"{TOKEN}: {token}", *head, "", ""]
        opened.sendall("\r\n".join(lines).encode() + body)
        received = b""
        while not close and not received.endswith(b"}"):
            received += opened.recv(10_000) or b"}"
        return received


@pytest.mark.parametrize("length", ["1" * 4000, "-1", "1e3", "٣"])
def test_a_wrong_size_is_refused(server, length):
    answer = sent(server, [f"Content-Length: {length}"])
    assert answer.split()[1] in (b"400", b"413")
    assert server.client.photographs() == []


def test_a_size_that_is_too_small_cuts_the_body(server):
    body = PHOTOGRAPH + bytes(5000)
    answer = sent(server, [f"Content-Length: {len(PHOTOGRAPH)}"], body)
    assert b"201" in answer  # the rest is no photograph
    (photograph,) = server.client.wait_until_finished()
    assert photograph["state"] == "done"


def test_an_upload_that_stalls_or_ends_early_gives_its_place_back(tmp_path):
    with served(tmp_path, upload_bytes=1000, silence_seconds=0.3) as server:
        began = time.monotonic()
        answer = sent(server, ["Content-Length: 900"], b"x")
        assert b"408" in answer and b"too slow" in answer
        assert time.monotonic() - began < 5
        sent(server, ["Content-Length: 900"], b"x", close=True)
        server.client.wait(lambda all: not all)
        assert kept(server) == []


def test_a_photograph_that_waits_or_is_computed_can_be_cancelled(server):
    server.worker.is_held = True
    first, second = (server.client.upload()[1]["id"] for _ in range(2))
    server.client.wait(lambda all: all[0]["state"] == "computing")
    assert server.client.api("DELETE", f"/photographs/{second}") == (200, {})
    assert server.worker.interrupted == 0
    assert server.client.api("DELETE", f"/photographs/{first}") == (200, {})
    assert server.worker.interrupted == 1
    assert server.client.photographs() == [] and kept(server) == []
    server.worker.is_held = False
    server.client.upload()  # the queue goes on
    assert server.client.wait_until_finished()[0]["state"] == "done"


def test_unknown_ids_addresses_and_methods_are_answered_in_words(server):
    for method, path in (
        ("DELETE", "/photographs/x"),
        ("POST", "/photographs/x/files/exr"),
        ("GET", "/nothing"),
        ("PUT", "/photographs"),
    ):
        status, answer = server.client.api(method, path)
        assert status in (404, 405) and answer["error"]
    assert server.client.raw("GET", "/files/" + "x" * 4000)[0] == 404
