"""h2spec's strict cases against the server, in cleartext and over TLS: all pass, or the RFC supports us."""
import shutil
import subprocess
import xml.etree.ElementTree as xml

import pytest

from support import pki
from support.repositories import write_model
from support.server import ROOT

PROGRAM = ROOT / ".deps" / "bin" / "h2spec"
CASES = 146
TIMEOUT_S = 5
LONG_HEADER_BYTES = 16000  # five of them fill more than the largest frame that we announce, 64 KiB

# Some cases send GET, some POST, all to one path; a case is judged on the path that takes its method.
PATHS = ["/v2", "/v2/models/echo/infer"]

# A half-closed stream whose answer has been sent is closed, and it is a matter of time which of the two h2spec sees.
ANSWERED = ("RFC 9113 §5.1, half-closed (remote): “A stream can transition from this state to “closed” by sending a frame "
            "with the END_STREAM flag set”; then closed, as below.")
CLOSED = ("RFC 9113 §5.1, closed: “An endpoint MAY treat receipt of any other type of frame on a closed stream as a "
          "connection error (Section 5.4.1) of type STREAM_CLOSED”. It may, and “can perform this minimal processing” "
          "instead, which is to discard DATA and count it in the connection's window.")

# (section, number of the case) and the sentence on which we stand.
EXCEPTIONS = {
    ("http2/5.1", 5): ANSWERED,
    ("http2/6.1", 2): ANSWERED,
    ("http2/5.1", 8): CLOSED,
    ("http2/5.1", 11): CLOSED,
    ("http2/5.3.1", 2): "RFC 9113 §5.3.2: “This update to HTTP/2 deprecates the priority signaling defined in RFC 7540”; "
                        "RFC 9218 §2.1: “Servers can send SETTINGS_NO_RFC7540_PRIORITIES with a value of 1 to indicate "
                        "that they will ignore HTTP/2 priority signals sent by clients”, which we do.",
}
# In cleartext what is not the preface is answered as the HTTP/1.1 that it may be, and the connection closed.
CLEARTEXT_EXCEPTIONS = EXCEPTIONS | {
    ("http2/3.5", 2): "RFC 9113 §3.4: “A GOAWAY frame (Section 6.8) MAY be omitted in this case, since an invalid preface "
                      "indicates that the peer is not using HTTP/2.”",
}


def failed_cases(report):
    """{(section, number): title} of the cases that did not pass, and the count of all."""
    failed, total = {}, 0
    for suite in xml.parse(report).getroot().iter("testsuite"):
        for number, case in enumerate(suite.iter("testcase"), 1):
            total += 1
            if case.find("failure") is not None or case.find("error") is not None:
                failed[case.get("package"), number] = case.get("classname")
    return failed, total


def start_h2spec(server, path, report, flags):
    command = [PROGRAM, "-S", *flags, "-h", server.host, "-p", str(server.port), "-P", path, "-o", str(TIMEOUT_S),
               "--max-header-length", str(LONG_HEADER_BYTES), "-j", report]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def judged(server, folder, flags=()):
    """The cases that fail on both paths, and what h2spec said."""
    reports = [folder / f"{number}.xml" for number in range(len(PATHS))]
    running = [start_h2spec(server, path, report, flags) for path, report in zip(PATHS, reports)]
    output = "\n".join(one.communicate()[0] for one in running)
    results = [failed_cases(report) for report in reports]
    assert [total for _, total in results] == [CASES] * len(PATHS), output
    return {case: title for case, title in results[0][0].items() if case in results[1][0]}, output


pytestmark = pytest.mark.skipif(not shutil.which("go"), reason="h2spec is built by Go")


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "models", "echo", "identity")


def test_cleartext(server, folder, tmp_path, record_property):
    failed, output = judged(server(folder).wait_ready("echo"), tmp_path)
    record_property("passed", f"{CASES - len(failed)} of {CASES}")
    assert set(failed) <= set(CLEARTEXT_EXCEPTIONS), output


def test_tls(server, folder, tmp_path, record_property):
    authority = pki.authority(tmp_path)
    served = server(folder, *pki.server(tmp_path, authority).flags)
    served.context = pki.trusting(authority)
    failed, output = judged(served.wait_ready("echo"), tmp_path, ["-t", "-k"])
    record_property("passed", f"{CASES - len(failed)} of {CASES}")
    assert set(failed) <= set(EXCEPTIONS), output
