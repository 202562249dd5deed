import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from lake.files import UNKNOWN, File, RefusedFileError, web
from lake.files.web import Web


class Server(ThreadingHTTPServer):
    """Answers ``/name`` with what the test laid there: (status, headers, body), one after the other."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers = {}
        self.asked = []
        self.now = self.most = 0
        self.slowness_s = 0
        self.lock = threading.Lock()

    def at(self, name, host="127.0.0.1"):
        return f"http://{host}:{self.server_port}/{name}"


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one piece: two would wait for one another for 40 ms

    def do_GET(self):
        server = self.server
        with server.lock:
            server.asked.append((self.path, dict(self.headers), self.client_address))
            server.now += 1
            server.most = max(server.most, server.now)
            answers = server.answers.get(self.path[1:], [(404, {}, b"")])
            status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        time.sleep(server.slowness_s)
        with server.lock:
            server.now -= 1
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = "Content-Length" in headers

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def place():
    place = Web(allow_private=True, timeout_s=2, back_off_s=0.001, most_bytes=1000)
    yield place
    place.close()


def read(place, url):
    return place.read(File(url, UNKNOWN, UNKNOWN))


def refusal(place, url):
    with pytest.raises(RefusedFileError) as caught:
        read(place, url)
    return caught.value


def one_connection(answer):
    """Serve one connection after the other by hand, and return the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(9000)
                try:
                    answer(connection)
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def test_a_photograph_is_fetched_as_it_is(server, place):
    server.answers["a.jpg"] = [(200, {}, b"abc")]
    assert read(place, f" {server.at('a.jpg')} ") == b"abc"
    _, headers, _ = server.asked[0]
    assert headers["Host"] == f"127.0.0.1:{server.server_port}"
    assert headers["User-Agent"].startswith("taxalake/")
    assert headers["Accept-Encoding"] == "identity"


def test_nothing_on_the_web_is_listed(place):
    assert (list(place.listing()), place.uri) == ([], "the web")


def test_a_name_with_spaces_and_accents_is_fetched(server, place):
    server.answers["%C3%A9%201.jpg?size=1"] = [(200, {}, b"abc")]
    assert read(place, server.at("é 1.jpg?size=1#top")) == b"abc"


def test_photographs_of_one_host_share_a_connection(server, place):
    server.answers["a.jpg"] = [(200, {}, b"abc")]
    for _ in range(3):
        read(place, server.at("a.jpg"))
    assert len({address for *_, address in server.asked}) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "http://localhost",
        "http://[::1]",
        "http://169.254.169.254",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://2130706433",
        "http://0x7f.1",
        "http://[::ffff:127.0.0.1]",
        "https://127.0.0.1",
        "file:///etc/passwd",
        "ftp://example.org/a.jpg",
        "http://user:password@example.org/a.jpg",
        "http://",
        "http:///a.jpg",
        "//example.org/a.jpg",
        "a.jpg",
        "",
        "http://example.org:99999/a.jpg",
        "http://exa\nmple.org/a.jpg",
        f"http://{'a' * 70}.org/a.jpg",
    ],
)
def test_an_address_that_is_not_public_is_refused(url):
    assert refusal(Web(), url).kind == "address_refused"


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("172.16.0.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::7f00:1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff0e::1", False),
    ],
)
def test_only_unicast_addresses_of_the_whole_net_are_public(address, is_public):
    assert web._is_public(address) == is_public


def test_a_host_with_a_private_address_beside_a_public_one_is_refused(monkeypatch):
    monkeypatch.setattr(web, "resolve", lambda host, port: ["93.184.216.34", "10.0.0.1"])
    assert "10.0.0.1" in refusal(Web(), "http://example.org").detail


def test_the_address_that_was_checked_is_the_one_connected_to(server, monkeypatch):
    asked = []
    monkeypatch.setattr(web, "resolve", lambda host, port: asked.append(host) or ["127.0.0.1"])
    monkeypatch.setattr(web, "_is_public", lambda address: address == "127.0.0.1")
    server.answers["a.jpg"] = [(200, {}, b"abc")]
    # No other resolver knows this name: asked once more, it would fail.
    assert read(Web(), server.at("a.jpg", "good.invalid")) == b"abc"
    assert asked == ["good.invalid"]
    assert server.asked[0][1]["Host"] == f"good.invalid:{server.server_port}"


@pytest.mark.parametrize("target", ["http://bad.invalid/", "http://169.254.169.254/latest", "file:///etc/passwd"])
def test_a_redirect_to_a_refused_address_is_not_followed(server, monkeypatch, target):
    known = {"good.invalid": ["127.0.0.1"], "bad.invalid": ["10.0.0.1"]}
    monkeypatch.setattr(web, "resolve", lambda host, port: known.get(host, [host]))
    monkeypatch.setattr(web, "_is_public", lambda address: address == "127.0.0.1")
    server.answers["a.jpg"] = [(302, {"Location": target}, b"")]
    assert refusal(Web(), server.at("a.jpg", "good.invalid")).kind == "address_refused"


def test_the_next_of_several_addresses_is_taken_if_one_does_not_answer(server, place, monkeypatch):
    monkeypatch.setattr(web, "resolve", lambda host, port: ["127.0.0.2", "127.0.0.1"])
    server.answers["a.jpg"] = [(200, {}, b"abc")]
    assert read(place, server.at("a.jpg", "good.invalid")) == b"abc"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(server, place, status):
    location = "/s1/é.jpg".encode().decode("latin-1")  # the server writes it back as bytes
    server.answers |= {"a.jpg": [(status, {"Location": location}, b"")], "s1/%C3%A9.jpg": [(200, {}, b"abc")]}
    assert read(place, server.at("a.jpg")) == b"abc"


@pytest.mark.parametrize(("hops", "is_followed"), [(5, True), (6, False)])
def test_more_than_five_redirects_are_not_followed(server, place, hops, is_followed):
    for hop in range(hops):
        server.answers[str(hop)] = [(302, {"Location": str(hop + 1)}, b"")]
    server.answers[str(hops)] = [(200, {}, b"abc")]
    if is_followed:
        assert read(place, server.at("0")) == b"abc"
    else:
        assert refusal(place, server.at("0")).kind == "address_refused"


def test_a_redirect_from_https_to_http_is_refused():
    before = httpx.URL("https://example.org/a.jpg")
    with pytest.raises(RefusedFileError, match="address_refused"):
        web._address("http://example.org/b.jpg", before)
    assert web._address("b.jpg", before) == "https://example.org/b.jpg"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "not_found"),
        (404, "not_found"),
        (410, "not_found"),
        (302, "not_found"),
        (401, "not_allowed"),
        (403, "not_allowed"),
        (451, "not_allowed"),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(server, place, status, kind):
    server.answers["a.jpg"] = [(status, {}, b"")]
    error = refusal(place, server.at("a.jpg"))
    assert (error.kind, len(server.asked)) == (kind, 1)
    assert str(status) in error.detail


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 599])
def test_an_answer_that_may_change_is_asked_for_again(server, place, status):
    server.answers["a.jpg"] = [(status, {}, b""), (status, {}, b""), (200, {}, b"abc")]
    assert read(place, server.at("a.jpg")) == b"abc"


def test_after_the_last_attempt_the_last_reason_is_told(server, place):
    server.answers["a.jpg"] = [(500, {}, b""), (503, {}, b"")]
    error = refusal(place, server.at("a.jpg"))
    assert (error.kind, len(server.asked)) == ("not_reachable", 4)
    assert "503 Service Unavailable" in error.detail


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_that_says_when_to_come_again_is_heard(server, place, as_date):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else "1"
    server.answers["a.jpg"] = [(429, {"Retry-After": later}, b""), (200, {}, b"abc")]
    since = time.monotonic()
    assert read(place, server.at("a.jpg")) == b"abc"
    assert time.monotonic() - since > 0.8


@pytest.mark.parametrize(
    ("said", "wait_s"), [("", 0), ("soon", 0), ("-5", 0), ("7", 7), ("99999", 30), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)]
)
def test_a_wait_is_never_longer_than_half_a_minute(said, wait_s):
    assert web._wait_s(said) == wait_s


def test_a_body_shorter_than_announced_is_asked_for_again(server, place):
    server.answers["a.jpg"] = [(200, {"Content-Length": "9"}, b"abc"), (200, {}, b"abcdefghi")]
    assert read(place, server.at("a.jpg")) == b"abcdefghi"


def test_a_host_that_cannot_be_reached_is_named(place):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = refusal(place, f"http://127.0.0.1:{port}/a.jpg")
    assert error.kind == "not_reachable"
    assert "127.0.0.1" in error.detail


def test_a_host_that_nobody_knows_is_not_reachable(place, monkeypatch):
    def unknown(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(web, "resolve", unknown)
    assert "Name or service not known" in refusal(place, "http://none.invalid/a.jpg").detail


@pytest.mark.parametrize("answer", [b"", b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
def test_a_connection_that_breaks_is_not_reachable(place, answer):
    port = one_connection(lambda connection: connection.sendall(answer))
    assert refusal(place, f"http://127.0.0.1:{port}/a.jpg").kind == "not_reachable"


def test_what_announces_too_many_bytes_is_refused_at_once(place):
    port = one_connection(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"))
    assert refusal(place, f"http://127.0.0.1:{port}/a.jpg").kind == "too_large"


def test_what_sends_too_many_bytes_is_cut_off(place):
    def answer(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(bytes(1000))

    assert refusal(place, f"http://127.0.0.1:{one_connection(answer)}/a.jpg").kind == "too_large"


def test_a_photograph_of_the_most_bytes_is_fetched(server, place):
    server.answers["a.jpg"] = [(200, {}, bytes(1000))]
    assert read(place, server.at("a.jpg")) == bytes(1000)


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX-Drip: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_sends_a_byte_now_and_then_does_not_hold_a_thread(start):
    def answer(connection):
        connection.sendall(start)
        while True:
            connection.sendall(b"a")
            time.sleep(0.01)

    place = Web(allow_private=True, timeout_s=0.05, back_off_s=0.001)
    since = time.monotonic()
    assert refusal(place, f"http://127.0.0.1:{one_connection(answer)}/a.jpg").kind == "not_reachable"
    assert time.monotonic() - since < 3


def test_a_server_that_says_nothing_does_not_hold_a_thread():
    place = Web(allow_private=True, timeout_s=0.05, back_off_s=0.001, attempts=2)
    port = one_connection(lambda connection: time.sleep(0.5))
    assert refusal(place, f"http://127.0.0.1:{port}/a.jpg").kind == "not_reachable"


def test_a_host_is_asked_for_no_more_than_its_share_at_once(server):
    place = Web(allow_private=True, per_host=2)
    server.answers |= {f"{number}.jpg": [(200, {}, bytes([number]))] for number in range(24)}
    server.slowness_s = 0.02
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda number: read(place, server.at(f"{number}.jpg")), range(24)))
    assert found == [bytes([number]) for number in range(24)]
    assert server.most == 2


def test_waiting_for_a_turn_does_not_use_up_the_time_for_a_photograph(server, monkeypatch):
    monkeypatch.setattr(web, "_DEADLINE", 1)
    place = Web(allow_private=True, per_host=1, timeout_s=1, attempts=1)
    server.answers["a.jpg"] = [(200, {}, b"abc")]
    server.slowness_s = 0.06
    with ThreadPoolExecutor(24) as pool:
        assert set(pool.map(lambda _: read(place, server.at("a.jpg")), range(24))) == {b"abc"}


def test_a_refused_photograph_gives_its_turn_back(server):
    place = Web(allow_private=True, per_host=1)
    server.answers["b.jpg"] = [(200, {}, b"abc")]
    assert refusal(place, server.at("a.jpg")).kind == "not_found"
    assert read(place, server.at("b.jpg")) == b"abc"


def test_a_host_that_fails_again_and_again_is_left_alone(server):
    place = Web(allow_private=True, timeout_s=2, back_off_s=0.001, attempts=2)
    server.answers["busy"] = [(503, {}, b"")]
    for _ in range(8):
        assert refusal(place, server.at("busy")).kind == "not_reachable"
    asked = len(server.asked)
    left_alone = refusal(place, server.at("busy"))
    assert (left_alone.kind, len(server.asked)) == ("not_reachable", asked)
    assert "8 times in a row and was not asked again" in left_alone.detail
    # another host is not to blame
    assert refusal(place, server.at("other", "localhost")).kind == "not_found"
    place.close()


@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_in_between_ends_the_row_of_failures(server, status):
    place = Web(allow_private=True, timeout_s=2, back_off_s=0.001, attempts=1)
    server.answers.update({"busy": [(503, {}, b"")], "other": [(status, {}, b"abc")]})
    for name in ["busy"] * 7 + ["other"] + ["busy"] * 7:
        with contextlib.suppress(RefusedFileError):
            read(place, server.at(name))
    assert "was not asked again" not in refusal(place, server.at("busy")).detail
    place.close()
