"""TLS as scanners see it, and under a flood of handshakes."""
import json
import resource
import shutil
import subprocess
import time

import pytest

from support import pki, processes
from support.repositories import request, write_model
from support.server import ROOT, START_S, Server
from support.sockets import Connection

SSLYZE = ROOT / ".deps" / "sslyze" / "bin" / "sslyze"
MIB = 1 << 20

# What testssl finds in a certificate that this test has made itself, and in a server of pages, which this is not.
NOT_OURS = {
    "cert_chain_of_trust", "cert_caIssuers", "cert_revocation", "cert_expirationStatus", "cert_notAfter", "DNS_CAArecord",
    "HSTS", "security_headers", "engine_problem",
}


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "models", "echo", "identity")


@pytest.fixture
def ca(tmp_path):
    return pki.authority(tmp_path)


@pytest.fixture
def served(tmp_path, folder, ca):
    identity = pki.server(tmp_path, ca)
    identity.certificate_path.write_bytes(identity.pem + ca.pem)
    one = Server(folder, *identity.flags, "--header-timeout-ms", 5000, state=tmp_path)
    one.context = pki.trusting(ca)
    yield one.wait_ready("echo")
    one.stop()


def answers(served):
    return served.infer("echo", request([1.0]))[0] == 200


@pytest.mark.skipif(not SSLYZE.exists(), reason="sslyze is not installed")
def test_it_complies_with_mozillas_intermediate_profile(served, ca):
    done = subprocess.run(
        [SSLYZE, "--mozilla_config=intermediate", f"--certinfo_ca_file={ca.certificate_path}", f"localhost:{served.port}"],
        capture_output=True, text=True, timeout=600)
    assert "OK - Compliant." in done.stdout and done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert answers(served)


@pytest.mark.skipif(not shutil.which("testssl"), reason="testssl.sh is not installed")
def test_testssl_finds_nothing(served, tmp_path):
    found = tmp_path / "testssl.json"
    subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", found,
                    f"localhost:{served.port}"], stdout=subprocess.DEVNULL, timeout=3000)
    findings = json.loads(found.read_text())
    assert len(findings) > 100  # it has looked
    bad = [one for one in findings if one["severity"] not in ("OK", "INFO", "DEBUG") and one["id"] not in NOT_OURS]
    assert not bad, bad
    assert answers(served)


def hello(ca):
    import ssl
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        pki.trusting(ca).wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("share", [0, 0.5, 1], ids=["silent", "half a hello", "a hello"])
def test_ten_thousand_handshakes_that_are_not_finished(served, ca, share):
    """They are cut, they cost at most 64 KiB each, their memory comes back, and others are served meanwhile."""
    count = 10_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    first = hello(ca)
    first = first[:int(len(first) * share)]
    front = served.front()
    before, peak, idle, slowest_s = front.memory_full_info().pss, 0, [], 0
    try:
        for i in range(count):
            idle.append(Connection(served.address, timeout_s=START_S))
            idle[-1].send(first)
            if i % 500 == 499:
                peak = max(peak, front.memory_full_info().pss)
                started = time.monotonic()
                assert answers(served)
                slowest_s = max(slowest_s, time.monotonic() - started)
        for client in idle:
            client.rest()
    finally:
        for client in idle:
            client.socket.close()
    print(f"{(peak - before) / count:.0f} bytes each, slowest answer meanwhile {slowest_s:.2f} s")
    assert peak - before <= count * 65536
    processes.until(lambda: front.memory_full_info().pss <= before + 16 * MIB, START_S, "the memory to come back")
    assert answers(served)
