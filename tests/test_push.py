"""Models that are pushed: uploaded by content, put in their place at once, listed, removed."""
import json

import pytest

from support import processes
from support.pushes import Pusher, config, digest, files_of, manifest
from support.repositories import request, write_model


@pytest.fixture
def served(server, tmp_path):
    """A server of a folder with one model, and a pusher."""
    folder = tmp_path / "models"
    folder.mkdir()
    write_model(folder, "here", "identity", "INT32")
    started = server(folder)
    started.wait_ready("here")
    started.folder = folder
    return started, Pusher(started)


def answers(server, model, values=(1, 2)):
    status, body = server.infer(model, request(list(values), datatype="INT32"))
    return status == 200 and body["outputs"][0]["data"] == list(values)


def test_a_model_is_pushed_and_served(served):
    server, pusher = served
    files = {"model.yaml": config(), "weights/a.bin": b"w" * 100000}
    assert pusher.missing(*files.values())[1]["missing"] == [{"sha256": digest(data), "have": 0} for data in files.values()]
    assert pusher.put("new", manifest(files))[0] == 412
    assert pusher.push("new", files) == {"name": "new", "version": 1, "unchanged": False}
    assert pusher.missing(*files.values()) == (200, {"missing": []})
    assert pusher.events("new")[-1] == {"state": "ready", "reason": "", "progress": 1.0}
    assert answers(server, "new")
    assert files_of(server.folder / "new") == files
    entry = pusher.listed()["new", 1]
    assert entry["state"] == "ready" and entry["engine"] == "identity" and entry["workers"] == 1
    assert {path.name for path in server.folder.iterdir()} == {"here", "new"}


def test_what_was_not_pushed_can_be_pulled(served):
    server, pusher = served
    assert pusher.ask("GET", "models/here") == (200, {"name": "here", "version": 1, "files": [
        {"path": "model.yaml", "sha256": digest((server.folder / "here" / "model.yaml").read_bytes()),
         "size": (server.folder / "here" / "model.yaml").stat().st_size}]})
