"""The conformance suite of ../conformance asks our server, and sees what is wrong with one that is not ours."""
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.processes import until
from support.python_models import needs_python
from support.server import inherited

SUITE = Path(__file__).resolve().parents[1] / "conformance"
TIMEOUT_S = 600
sys.path.insert(0, str(SUITE))

# Why cases do not apply to it.
NOT_BUILT = {"does not announce 'sequence'", "does not announce 'cuda_shared_memory'",
             "announces it", "GET /v2/docs/dataplane.json answers 404", "does not serve 'sequence_sum'"}


def run(url, report, *arguments):
    """(the command's status, its results)"""
    command = [sys.executable, "-m", "oip_conformance", url, "--json", report, *arguments]
    status = subprocess.run(command, env={**inherited(), "PYTHONPATH": str(SUITE)}, timeout=TIMEOUT_S).returncode
    return status, json.loads(report.read_text())["results"]


def are_settled(ours):
    """Has each version been loaded, or failed to?"""
    status, _, body = ours.fetch("/v2/repository/index", b"")
    rows = json.loads(body)
    return status == 200 and len(rows) > 20 and all(row["state"] == "READY" or row["state"] == "UNAVAILABLE" and row.get("reason")
                                                         for row in rows)


@needs_python
def test_our_server_passes(server, tmp_path):
    from oip_conformance.models import write_triton

    write_triton(tmp_path / "models")
    ours = server(tmp_path / "models", "--allow-client-shm", "infer")
    until(lambda: are_settled(ours), TIMEOUT_S, "all models ready, or failed")
    token = f"Authorization: Bearer {ours.admin_token}"
    _, results = run(ours.url, tmp_path / "report", "--grpc-url", ours.netloc, "--header", token)
    failed = {f"{result['id']} over {result['transport']}": result["reason"] for result in results if result["outcome"] == "fail"}
    assert failed == {}
    lacking = {result["reason"] for result in results if result["outcome"] == "not applicable"}
    assert lacking <= NOT_BUILT, lacking - NOT_BUILT
    passed = [result["transport"] for result in results if result["outcome"] == "pass"]
    assert min(passed.count(name) for name in ("HTTP/1.1", "HTTP/2", "gRPC")) > 150


class Wrong(BaseHTTPRequestHandler):
    """Answers 200 and an empty object, whatever it is asked."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def wrong():
    """The URL of a server that does all wrong."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Wrong) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_another_server_fails(wrong, tmp_path):
    status, results = run(wrong, tmp_path / "report", "-k", "metadata or infer_json or bad")
    outcomes = {result["id"]: result["outcome"] for result in results if result["transport"] == "HTTP/1.1"}
    assert status == 1 and outcomes["metadata.server"] == outcomes["infer.json.answer"] == outcomes["bad.json.cut"] == "fail"
    assert outcomes["bad.binary.raw.two-inputs"] == "not applicable"  # it does not announce the extension
