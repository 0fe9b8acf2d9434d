"""The tests' own tools: the made-up models mean what they say, and dirty endings are seen."""
import os
import signal
import socket
import stat
import subprocess
import threading

import numpy as np
import onnxruntime
import pytest

from support import models, processes, sockets
from support.server import Server

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def run(made, **inputs):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def test_models_compute_what_they_say():
    np.testing.assert_array_equal(run(models.add(), A=X, B=X)[0], 2 * X)
    np.testing.assert_allclose(run(models.matmul(), X=X)[0], X @ models.weights(), rtol=1e-5)
    np.testing.assert_array_equal(run(models.constant(7), X=np.ones(1, np.float32))[0], [7])
    np.testing.assert_allclose(run(models.mixes_rows(), X=X)[0], X - X.mean(0))
    transposed, total = run(models.dynamic(), X=X)
    np.testing.assert_array_equal(transposed, X.T)
    assert total == X.sum()
    text = np.array([["a"], ["ä"]], dtype=object)
    assert run(models.strings(), INPUT=text)[0].tolist() == text.tolist()


def test_an_optional_input_may_be_left_out():
    rows = np.zeros((1, 2), np.float32)
    assert run(models.optional(), X=rows)[0].tolist() == [[10, 20]]
    assert run(models.optional(), X=rows, BIAS=np.ones(2, np.float32))[0].tolist() == [[1, 1]]


def test_all_datatypes_load():
    made = models.all_datatypes()
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    assert len(session.get_inputs()) == len(models.DATATYPES) == 14


def test_a_missing_operator_is_refused():
    with pytest.raises(Exception, match="NoSuchOperator|nowhere"):
        run(models.missing_operator(), X=np.ones(1, np.float32))


def test_external_data_lies_beside_the_model(tmp_path):
    path = models.save(models.matmul(), tmp_path / "m" / "model.onnx", external_data=True)
    assert (tmp_path / "m" / "model.data").stat().st_size >= 64
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"X": X})[0], X @ models.weights(), rtol=1e-5)


def test_processes_are_measured():
    pid = os.getpid()
    assert 0 < processes.pss_bytes(pid) <= processes.rss_bytes(pid)
    counts = []
    with socket.socket() as more:
        for given in ((), (more.fileno(),)):
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=given) as cat:
                cat.stdin.write(b"here\n")
                cat.stdin.flush()
                assert cat.stdout.readline() == b"here\n"
                counts.append(processes.fd_count(cat.pid))
                cat.stdin.close()
    assert counts == [3, 4]


def test_responses_are_read_one_at_a_time():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 404 Not Found\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with sockets.Connection(listener.getsockname()) as connection:
            first, second = connection.response(), connection.response()
        thread.join()
    assert (first.status, first.json(), second.status, second.body) == (200, {}, 404, b"")


FAKE = """#!/bin/sh
%s
echo "tensord listening on http://127.0.0.1:1"
%s
wait
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A script in the binary's place."""

    def start(before="trap 'kill $!; exit 0' TERM", after="sleep 60 &"):
        script = tmp_path / "tensord"
        script.write_text(FAKE % (before, after))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("TENSORD_BINARY", str(script))
        return Server("x", state=tmp_path)

    return start


def test_a_clean_end_is_accepted(fake):
    one = fake()
    assert one.address == ("127.0.0.1", 1)
    one.stop()


def test_a_wrong_status_is_seen(fake):
    one = fake(before="trap 'kill $!; exit 3' TERM")
    with pytest.raises(AssertionError, match="exit status 3"):
        one.stop()


def test_a_sanitizer_report_is_seen(fake):
    one = fake(after="echo 'x.c:1:2: runtime error: overflow' >&2; sleep 60 &")
    assert one.err.wait_for("runtime error", 60)
    with pytest.raises(AssertionError, match="runtime error"):
        one.stop()


def test_a_child_left_over_is_seen(fake, monkeypatch):
    monkeypatch.setattr("support.server.STOP_S", 3)
    one = fake(before="trap 'exit 0' TERM", after="sleep 60 >/dev/null 2>&1 & echo started")
    assert one.out.wait_for("started", 60)
    processes.until(one.descendants, what="the child")  # until it executes sleep, it looks like its parent
    with pytest.raises(AssertionError, match="outlived"):
        one.stop()


def test_a_server_that_does_not_start_says_why(fake):
    with pytest.raises(RuntimeError, match="no such thing"):
        fake(before="echo 'no such thing' >&2; exit 1")


def test_a_killed_server_is_gone(fake):
    one = fake()
    one.kill()
    assert one.process.returncode == -signal.SIGKILL
