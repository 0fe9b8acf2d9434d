"""HTTP/1.1 that has more than one meaning, or none, or too much: refused with the right status, and closed."""
import pytest

from support.http1_cases import ALLOWED, CHUNKED, FRAMING, HOST, GET, INFER, LINES, REFUSED, TARGETS, get, head, post
from support.sockets import Connection, request
from support.victim import check_error_body


def refused(victim, status, data):
    """Sends it all, as far as it gets; one answer, then the end."""
    with Connection(victim.address) as conn:
        try:
            conn.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered and closed already
        response = conn.response()
        assert response.status in (status if isinstance(status, tuple) else (status,)), response.body
        assert response.headers["content-type"] == "application/json"
        assert response.headers["connection"] == "close"
        check_error_body(response.body)
        assert conn.rest() == b""


@pytest.mark.parametrize("status, section, data", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_and_the_connection_closed(victim, status, section, data):
    victim.survives(lambda: refused(victim, status, data), repeats=100 if len(data) < 1 << 18 else 20)


# What is whole and clear, and only wrong: the connection goes on.
WRONG = {
    "unknown path": (404, get("/nowhere")),
    "trailing slash": (404, get("/v2/health/live/")),
    "doubled slash": (404, get("//v2")),
    "unknown model": (404, get("/v2/models/nope")),
    "unknown version": (404, get("/v2/models/echo/versions/2")),
    "version that is no number": (400, get("/v2/models/echo/versions/x")),
    "version of 40 digits": (400, get("/v2/models/echo/versions/" + "9" * 40)),
    "version -1": (400, get("/v2/models/echo/versions/-1")),
    "method that does not fit": (405, head("DELETE /v2/health/live HTTP/1.1", HOST)),
    "method that does not fit, with a body": (405, request("PUT", INFER, body=b"x" * 1000)),
    "no body": (400, request("POST", INFER)),
}


def kept(victim, status, data):
    """One answer, and then the same connection serves a good request."""
    with Connection(victim.address) as conn:
        conn.send(data)
        response = conn.response()
        assert response.status == status, response.body
        check_error_body(response.body)
        conn.send(request("GET", "/v2/health/live"))
        assert conn.response().status == 200


@pytest.mark.parametrize("status, data", WRONG.values(), ids=WRONG)
def test_it_is_refused_and_the_connection_goes_on(victim, status, data):
    victim.survives(lambda: kept(victim, status, data))


@pytest.mark.parametrize("data", ALLOWED.values(), ids=ALLOWED)
def test_it_is_served(victim, data):
    with Connection(victim.address) as conn:
        conn.send(data)
        assert conn.response().status == 200


@pytest.mark.parametrize("bad", [head(GET, HOST, HOST), b"\0", post(CHUNKED, "Content-Length: 1")],
                         ids=["two hosts", "NUL", "smuggling"])
def test_what_came_before_in_the_pipeline_is_answered(victim, bad):
    def attack():
        with Connection(victim.address) as conn:
            conn.send(request("GET", "/v2") * 2 + bad)
            assert [conn.response().status for _ in range(3)] == [200, 200, 400]
            assert conn.rest() == b""

    victim.survives(attack)


def test_what_comes_after_a_refusal_is_not_served(victim):
    with Connection(victim.address) as conn:
        conn.send(post("Content-Length: 5", CHUNKED, body=b"0\r\n\r\n") + request("GET", "/v2"))
        assert conn.response().status == 400
        assert conn.rest() == b""


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_cut_into_reads_changes_nothing(victim, size):
    for status, _, data in (LINES["two hosts"], FRAMING["chunk size with plus"], TARGETS["encoded dots"]):
        with Connection(victim.address) as conn:
            for at in range(0, len(data), size):
                try:
                    conn.send(data[at:at + size])
                except (BrokenPipeError, ConnectionResetError):
                    break
            assert conn.response().status == status
    victim.check()
