"""Settings of tracing and of the log."""
from oip_conformance.catalogue import ROBUSTNESS, TRITON, case

TRACE, LOG = "Triton: extension_trace.md", "Triton: extension_logging.md"


def setting(http, path, body=None):
    reply = http.ask("POST" if body is not None else "GET", path, body)
    assert reply.status == 200, (reply.status, reply.body[:200])
    return reply.json()


@case("trace.get", TRITON, TRACE, "trace")
def test_trace(http):
    """The settings of tracing are texts, but for the level, which is a list of texts."""
    found = setting(http, "/v2/trace/setting")
    assert isinstance(found["trace_level"], list)
    assert all(isinstance(found[name], str) for name in ("trace_rate", "trace_count", "log_frequency"))


@case("trace.set", TRITON, TRACE, "trace")
def test_trace_set(http1):
    """A setting that is posted holds, and null gives it up again."""
    before = setting(http1, "/v2/trace/setting")["trace_rate"]
    assert setting(http1, "/v2/trace/setting", {"trace_rate": "77"})["trace_rate"] == "77"
    assert setting(http1, "/v2/trace/setting")["trace_rate"] == "77"
    assert setting(http1, "/v2/trace/setting", {"trace_rate": None})["trace_rate"] == before


@case("trace.model", TRITON, TRACE, "trace", "add_sub")
def test_trace_model(http1, target):
    """A model has settings of its own, which follow the server's until they are set."""
    path = f"/v2/models/{target.model('add_sub')}/trace/setting"
    before = setting(http1, path)["trace_rate"]
    assert setting(http1, path, {"trace_rate": "55"})["trace_rate"] == "55"
    assert setting(http1, "/v2/trace/setting")["trace_rate"] == before
    assert setting(http1, path, {"trace_rate": None})["trace_rate"] == before


@case("bad.trace", ROBUSTNESS, TRACE, "trace")
def test_bad_trace(http1):
    """What no setting may be is refused with 4xx and a sentence, and changes nothing."""
    before = setting(http1, "/v2/trace/setting")
    for body in (b"{", {"trace_rate": "often"}, {"trace_level": ["LOUD"]}, {"trace_rate": {"a": 1}}):
        reply = http1.ask("POST", "/v2/trace/setting", body)
        assert 400 <= reply.status < 500 and reply.error(), (body, reply.status)
    assert setting(http1, "/v2/trace/setting") == before


@case("logging.get", TRITON, LOG, "logging")
def test_log(http):
    """The settings of the log: booleans, a level and a format."""
    found = setting(http, "/v2/logging")
    assert all(isinstance(found[name], bool) for name in ("log_info", "log_warning", "log_error"))
    assert isinstance(found["log_verbose_level"], int) and isinstance(found["log_format"], str)


@case("logging.set", TRITON, LOG, "logging")
def test_log_set(http1):
    """A setting that is posted holds, and is answered with all of them."""
    before = setting(http1, "/v2/logging")["log_verbose_level"]
    try:
        assert setting(http1, "/v2/logging", {"log_verbose_level": 1})["log_verbose_level"] == 1
        assert setting(http1, "/v2/logging")["log_verbose_level"] == 1
    finally:
        setting(http1, "/v2/logging", {"log_verbose_level": before})


@case("bad.logging", ROBUSTNESS, LOG, "logging")
def test_bad_log(http1):
    """What no setting may be is refused with 4xx and a sentence, and changes nothing."""
    before = setting(http1, "/v2/logging")
    for body in (b"{", {"log_info": "yes"}, {"log_verbose_level": "much"}, {"log_nix": True}):
        reply = http1.ask("POST", "/v2/logging", body)
        assert 400 <= reply.status < 500 and reply.error(), (body, reply.status)
    assert setting(http1, "/v2/logging") == before
