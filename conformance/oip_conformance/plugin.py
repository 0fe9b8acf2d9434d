"""The pytest plug-in: options, the fixtures that cases ask for, and what came of each."""
import pytest

from .http import NoAnswer
from .rpc import Rpc
from .server import Server
from .target import Silent, Target

PASS, FAIL, NOT_APPLICABLE = "pass", "fail", "not applicable"


def pytest_addoption(parser):
    group = parser.getgroup("oip")
    group.addoption("--oip-url", help="the server's URL")
    group.addoption("--oip-grpc-url", help="where it speaks gRPC: HOST:PORT")
    group.addoption("--oip-server", help="a command that starts the server: it is started again when a case has ended it")
    group.addoption("--oip-field", action="append", default=[], help="a header field for every request: NAME:VALUE")
    group.addoption("--oip-assume", action="append", default=[], help="an extension that it has and does not announce")
    group.addoption("--oip-model", action="append", default=[], help="NAME=SERVED: how it calls one of the models")


def pytest_configure(config):
    config.addinivalue_line("markers", "case(name, kind, source, needs, models): a case of the suite")
    config.oip_results = {}
    if config.getoption("--oip-url"):
        option = config.getoption
        fields = [tuple(part.strip() for part in field.split(":", 1)) for field in option("--oip-field")]
        config.oip_target = Target(option("--oip-url"), option("--oip-grpc-url"), fields, option("--oip-assume"),
                                   dict(pair.split("=", 1) for pair in option("--oip-model")))
        config.oip_server = option("--oip-server") and Server(option("--oip-server"), option("--oip-url"))


def pytest_unconfigure(config):
    if getattr(config, "oip_server", None):
        config.oip_server.stop()


@pytest.fixture(scope="session")
def target(request):
    """The server, which has been looked at while it was well."""
    found = request.config.oip_target
    assert found.metadata is not None and found.speaks_http2 is not None and found.good
    return found


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def http(request, target):
    """The server over each version of HTTP."""
    if request.param == "HTTP/1.1":
        return target.http1
    if not target.speaks_http2:
        pytest.skip("does not speak HTTP/2 in the clear")
    return target.http2


@pytest.fixture
def http1(target):
    """The server over HTTP/1.1 alone."""
    return target.http1


@pytest.fixture
def rpc(target):
    """The server over gRPC."""
    if not target.grpc_netloc:
        pytest.skip("no gRPC")
    return Rpc(target)


@pytest.fixture(autouse=True)
def applicable(request, target):
    """Skips a case that the server does not have what it needs for; afterwards looks whether it is still well."""
    mark = request.node.get_closest_marker("case")
    name, kind, _, needs, models = mark.args
    for extension in needs:
        if reason := target.lacks(extension):
            pytest.skip(reason)
    for model in models:
        if not target.serves(model):
            pytest.skip(f"does not serve '{model}'")
    yield
    look_after(request.config.oip_server, target, kind == "robustness")


def look_after(server, target, is_bad):
    """Is the server well after a case? One that we have started is started again when it does not answer."""
    try:
        if server and server.has_ended():
            raise Silent("the server has ended")
        if is_bad:
            target.check_well()
    except Silent:
        if server:
            server.restart()
            target.reconnect()
        raise


def transport(item):
    """Over what a case asks."""
    asked = getattr(item, "callspec", None)
    if "rpc" in item.fixturenames:
        return "gRPC"
    return asked.params["http"] if asked and "http" in asked.params else "HTTP/1.1"


def case_name(item):
    """The case's id; one that is asked of several things has them behind a dot."""
    name = item.get_closest_marker("case").args[0]
    asked = getattr(item, "callspec", None)
    more = [part for part in (asked.id if asked else "").replace("HTTP/1.1", "").replace("HTTP/2", "").strip("-").split("--") if part]
    return ".".join([name, *more])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Keeps the worst of set-up, test and what holds afterwards."""
    outcome = yield
    report = outcome.get_result()
    mark = item.get_closest_marker("case")
    if not mark:
        return
    _, kind, source, *_ = mark.args
    key = (case_name(item), transport(item))
    result = item.config.oip_results.setdefault(
        key, {"id": key[0], "transport": key[1], "kind": kind, "source": source, "expects": sentence(item), "outcome": PASS,
              "reason": ""})
    if report.skipped and result["outcome"] == PASS:
        result["outcome"], result["reason"] = NOT_APPLICABLE, report.longrepr[2].removeprefix("Skipped: ")
    elif report.failed:
        reasons = [result["reason"]] if result["outcome"] == FAIL else []
        result["outcome"], result["reason"] = FAIL, "; then: ".join([*reasons, why(call)])


def sentence(item):
    return " ".join((item.function.__doc__ or "").split())


def why(call):
    """The first lines of what an assertion says."""
    error = call.excinfo.value
    kind = "" if isinstance(error, (AssertionError, NoAnswer)) else f"{type(error).__name__}: "
    return f"{kind}{error}".split("\nassert")[0][:400]
