"""What was learned of models is there after a restart, and nothing depends on it."""
import os
import re

import pytest

from support import models

FIGURES = "learned/figures"


@pytest.fixture
def serve(server, repository, tmp_path):
    """serve() starts a server of the model "add" with the same state folder each time."""
    folder = repository(add=models.add())

    def start(*arguments):
        return server(folder, "--state-dir", str(tmp_path / "state"), *arguments).wait_ready("add")

    return start


def row_seconds(server):
    """What a row of the model takes, as far as is known."""
    page = server.fetch("/metrics")[2].decode()
    return float(re.search(r'tensord_row_seconds\{model="add".*\} (\S+)', page)[1])


def learn(server, requests=10):
    data = {"inputs": [{"name": name, "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]} for name in "AB"]}
    for _ in range(requests):
        assert server.infer("add", data)[0] == 200


def test_what_was_learned_is_there_after_a_restart(serve):
    first = serve()
    assert row_seconds(first) == 0
    learn(first)
    known = row_seconds(first)
    assert known > 0
    first.stop()
    figures = first.state_dir / FIGURES
    assert figures.stat().st_mode & 0o777 == 0o600
    assert row_seconds(serve()) == pytest.approx(known, rel=1e-3)


def test_an_unload_forgets_nothing(serve):
    server = serve()
    learn(server)
    assert server.fetch("/v2/repository/models/add/unload", {})[0] == 200
    assert server.fetch("/v2/repository/models/add/load", {})[0] == 200
    assert row_seconds(server) > 0


def test_other_files_are_learned_of_anew(serve, tmp_path):
    first = serve()
    learn(first)
    first.stop()
    os.utime(tmp_path / "models" / "add.onnx", (1, 1))
    assert row_seconds(serve()) == 0


@pytest.mark.parametrize("how", ["cut", "changed", "huge", "folder", "removed"])
def test_a_damaged_file_is_passed_over(serve, how):
    first = serve()
    learn(first)
    first.stop()
    figures = first.state_dir / FIGURES
    whole = figures.read_bytes()
    if how == "cut":
        figures.write_bytes(whole[:-1])
    elif how == "changed":
        figures.write_bytes(whole[:20] + b"!" + whole[21:])
    elif how == "huge":
        figures.write_bytes(whole + bytes(2 << 20))
    else:
        figures.unlink()
    if how == "folder":
        figures.mkdir()
    second = serve()
    assert row_seconds(second) == 0
    learn(second)
    second.stop()
    assert ("what was learned of models is lost" in second.err.text()) == (how != "removed")
    if how != "folder":
        assert figures.stat().st_size > 0
        assert row_seconds(serve()) > 0
