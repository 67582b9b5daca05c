import re

import pytest
from starlette.datastructures import Headers

from jaxhdr.app.limits import Refused
from jaxhdr.app.security import check_host, check_site, is_loopback
from jaxhdr.viewer.embedding import policy_hash
from tests.app.serving import TOKEN, served


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("kept")) as running:
        yield running


FOREIGN = {
    "another host": {"Host": "evil.example"},
    "a name that looks like ours": {"Host": "127.0.0.1.evil.example:80"},
    "no host": {"Host": ""},
    "another origin": {"Origin": "http://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "a sandboxed page": {"Origin": "null"},
    "another site": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    "the same site": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    "a frame": {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "iframe",
    },
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_another_site_asks_is_refused_even_with_the_token(server, name, method):
    status, answer = server.client.api(
        method, "/photographs?name=a.jpg", b"x", headers=FOREIGN[name]
    )
    assert status == 403 and answer["error"]
    assert server.client.photographs() == []


@pytest.mark.parametrize("name", FOREIGN)
def test_the_page_with_the_token_is_not_given_to_another_site(server, name):
    status, _, content = server.client.raw("GET", "/", headers=FOREIGN[name])
    assert status == 403
    assert server.client.settings["token"].encode() not in content


def test_a_link_on_another_site_may_open_the_page(server):
    visit = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    assert server.client.raw("GET", "/", headers=visit)[0] == 200
    own = {"Origin": f"http://127.0.0.1:{server.client.port}"}
    assert server.client.api("GET", "/photographs", headers=own)[0] == 200


@pytest.mark.parametrize("token", ["", "wrong", "é" * 43, "a" * 10_000])
def test_the_interface_wants_the_token(server, token):
    for method, path in (
        ("GET", "/api/photographs"),
        ("POST", "/api/photographs?name=a.jpg"),
        ("DELETE", "/api/photographs/x"),
        ("POST", "/api/photographs/x/files/exr"),
    ):
        headers = {TOKEN: token.encode()} if token else {}
        status, _, content = server.client.raw(method, path, b"", headers)
        assert status == 403 and b"token" in content


def test_tokens_differ_from_start_to_start(server, tmp_path):
    with served(tmp_path) as other:
        assert other.client.settings["token"] != server.client.settings["token"]


def test_no_answer_may_be_kept_framed_or_read_by_others(server):
    for path in ("/", "/api/photographs", "/files/x", "/nothing"):
        _, headers, _ = server.client.raw("GET", path)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in headers if name.startswith("access-control")]
        assert "server" not in headers
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "*"}
    status, headers, _ = server.client.raw(
        "OPTIONS", "/api/photographs", None, preflight
    )
    assert status == 403
    assert not [name for name in headers if name.startswith("access-control")]


def test_the_page_holds_all_it_needs_and_its_policy_allows_only_that(server):
    page = server.client.page()
    policy = server.client.raw("GET", "/")[1]["content-security-policy"]
    for element, directive in (
        ("style", "style-src"),
        ('script type="module"', "script-src"),
    ):
        end = element.split()[0]
        (inside,) = re.findall(rf"<{element}>(.*?)</{end}>", page, re.S)
        assert f"{directive} {policy_hash(inside)};" in policy
    assert not re.search(r"https?:|\bsrc=\"|@import|url\(", page)


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/files/..%2f..%2fetc%2fpasswd",
        "/files/%2e%2e/x",
        "//etc/passwd",
        "/files//etc/passwd",
        "/assets/app.js",
    ],
)
def test_no_address_becomes_a_path(server, path):
    status, _, content = server.client.raw("GET", path)
    assert status == 404 and b"root:" not in content


@pytest.mark.parametrize(
    ("given", "host", "is_ours"),
    [
        ("localhost:80", "127.0.0.1", True),
        ("LOCALHOST", "127.0.0.1", True),
        ("[::1]:8765", "127.0.0.1", True),
        ("192.168.1.5", "127.0.0.1", False),
        ("192.168.1.5:8765", "0.0.0.0", True),
        ("[fe80::1]", "::", True),
        ("evil.example", "0.0.0.0", False),
        ("box.lan:8765", "box.lan", True),
        ("[", "127.0.0.1", False),
    ],
)
def test_a_host_is_this_machine_or_the_configured_one(given, host, is_ours):
    try:
        check_host(given, host)
    except Refused:
        assert not is_ours
    else:
        assert is_ours


def test_a_visit_only_reads():
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate",
             "sec-fetch-dest": "document"}  # fmt: skip
    check_site("GET", Headers(visit))
    with pytest.raises(Refused):
        check_site("POST", Headers(visit))


def test_loopback_addresses_are_known():
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.9.9.9", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.1.5", "box.lan", ""]))
