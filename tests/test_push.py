"""Models that are pushed: uploaded by content, put in their place at once, listed, removed."""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from support import processes
from support.pushes import Pusher, config, digest, files_of, manifest
from support.repositories import index, request, write_model
from support.server import ROOT, START_S
from support.sockets import Connection
from support.tokens import bearer, create, revoke


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


def answers(server, model, values=(1, 2), version=""):
    path = f"/v2/models/{model}{f'/versions/{version}' if version else ''}/infer"
    status, _, body = server.fetch(path, request(list(values), datatype="INT32"))
    return status == 200 and json.loads(body)["outputs"][0]["data"] == list(values)


def model(content=b"", **more):
    """The files of a model, told apart by their content."""
    return {"model.yaml": config(**more), "weights/a.bin": content}


def folder_is_clean(server, *names):
    assert sorted(path.name for path in server.folder.iterdir()) == sorted(["here", *names])


# ---- one push ----


def test_a_model_is_pushed_and_served(served):
    server, pusher = served
    files = model(b"w" * 100000)
    assert pusher.missing(*files.values())[1]["missing"] == [{"sha256": digest(data), "have": 0} for data in files.values()]
    status, answer = pusher.put("new", manifest(files))
    assert status == 412 and {blob["sha256"] for blob in answer["missing"]} == {digest(data) for data in files.values()}
    assert pusher.push("new", files) == {"name": "new", "version": 1, "unchanged": False}
    assert pusher.missing(*files.values()) == (200, {"missing": []})
    assert pusher.events("new")[-1] == {"state": "ready", "reason": "", "progress": 1.0}
    assert answers(server, "new")
    assert files_of(server.folder / "new") == files
    entry = pusher.listed()["new", 1]
    assert entry["state"] == "ready" and entry["engine"] == entry["format"] == "identity" and entry["workers"] == 1
    folder_is_clean(server, "new")


def test_the_package_and_the_server_understand_each_other(served, tmp_path):
    server, _ = served
    folder = tmp_path / "mine"
    files = {"model.yaml": config(), "weights.bin": os.urandom(20 << 20)}  # more than the package sends at once
    folder.mkdir()
    for path, data in files.items():
        (folder / path).write_bytes(data)

    def tensord(*arguments):
        done = subprocess.run([sys.executable, "-m", "tensord", *map(str, arguments), "--to", server.url], text=True, cwd=tmp_path,
                              env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "TENSORD_TOKEN": server.admin_token},
                              capture_output=True, timeout=START_S)
        assert done.returncode == 0, done.stderr
        return done.stdout
    tensord("push", folder)
    assert answers(server, "mine")
    assert "mine" in tensord("ps") and "ready" in tensord("logs", "mine")
    tensord("pull", "mine", tmp_path / "pulled")
    assert files_of(tmp_path / "pulled") == files
    tensord("rm", "mine")
    folder_is_clean(server)


def test_the_same_push_again_changes_nothing(served):
    server, pusher = served
    assert not pusher.push("new", model(b"a"))["unchanged"]
    pusher.events("new")
    worker = [child.pid for child in processes.named(server.pid, "worker")]
    assert pusher.push("new", model(b"a")) == {"name": "new", "version": 1, "unchanged": True}
    assert pusher.events("new")[-1]["state"] == "ready"
    assert [child.pid for child in processes.named(server.pid, "worker")] == worker
    assert not pusher.push("new", model(b"b"))["unchanged"]  # of the same names and sizes
    assert pusher.events("new")[-1]["state"] == "ready"
    assert [child.pid for child in processes.named(server.pid, "worker")] != worker


def test_what_lies_there_can_be_pulled(served):
    server, pusher = served
    files = model(b"x" * 1_000_000)
    pusher.push("new", files)
    for name in ("here", "new"):  # pushed or not
        status, answer = pusher.ask("GET", f"models/{name}")
        assert status == 200 and answer["version"] == 1
        found = {}
        for one in answer["files"]:
            status, fields, body = server.fetch(f"/tensord/v1/blobs/{one['sha256']}")
            assert (status, digest(body), len(body)) == (200, one["sha256"], one["size"])
            assert fields["Content-Length"] == str(len(body))
            found[one["path"]] = body
        assert found == files_of(server.folder / name)
    assert pusher.ask("GET", "models/absent")[0] == pusher.ask("GET", "models/new?version=2")[0] == 404
    assert pusher.ask("GET", "blobs/" + "0" * 64)[0] == 404


def test_links_are_pulled_as_what_they_lead_to(served):
    server, pusher = served
    (server.folder / "here" / "link.bin").symlink_to("model.yaml")
    (server.folder / "alias").symlink_to("here")
    server.wait_ready("alias")
    text = (server.folder / "here" / "model.yaml").read_bytes()
    for name in ("here", "alias"):
        listed = pusher.ask("GET", f"models/{name}")[1]["files"]
        assert {one["path"]: one["sha256"] for one in listed} == {"model.yaml": digest(text), "link.bin": digest(text)}


def test_heads_have_no_bodies(served):
    server, pusher = served
    pusher.upload(b"x" * 1000)
    for path in (f"blobs/{digest(b'x' * 1000)}", "models/here/events", "models/here/logs", "models/here", "models"):
        with Connection(server.address) as client:
            client.send(f"HEAD /tensord/v1/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                        f"Authorization: Bearer {server.admin_token}\r\n\r\n".encode())
            head, _, rest = client.rest().partition(b"\r\n\r\n")
            assert b" 200 " in head and rest == b"", (path, head, rest)


def test_a_server_without_a_folder_serves_what_is_pushed(server):
    started = server(None)
    pusher = Pusher(started)
    pusher.push("new", model())
    assert pusher.events("new")[-1]["state"] == "ready" and answers(started, "new")
    assert files_of(started.state_dir / "models" / "new") == model()


def test_a_server_of_one_model_takes_no_others(server, tmp_path):
    write_model(tmp_path, "only", "identity", "INT32")
    started = server(tmp_path / "only")
    started.wait_ready("only")
    status, answer = Pusher(started).put("new", manifest(model()))
    assert status == 403 and "serves one model" in answer["error"]


def test_pushes_are_loaded_whatever_the_policy(server, tmp_path):
    for policy in ("explicit", "lazy"):
        (tmp_path / policy).mkdir()
        started = server(tmp_path / policy, "--load", policy)
        pusher = Pusher(started)
        pusher.push("new", model())
        assert pusher.events("new")[-1]["state"] == "ready"
        assert answers(started, "new")


# ---- uploads ----


def test_an_upload_in_parts(served):
    _, pusher = served
    data = os.urandom(1_000_000)
    assert pusher.upload(data, 0, data[:300_000]) == (202, {"have": 300_000})
    assert pusher.missing(data) == (200, {"missing": [{"sha256": digest(data), "have": 300_000}]})
    for offset in (0, 299_999, 300_001, 1_000_000):  # a wrong place changes nothing
        status, answer = pusher.upload(data, offset, data[offset:])
        assert status == 409 and answer["have"] == 300_000, (offset, answer)
    assert pusher.upload(data, 300_000) == (201, {"have": 1_000_000})
    assert pusher.upload(data) == (201, {"have": 1_000_000})  # repeated
    assert pusher.missing(data) == (200, {"missing": []})


def test_an_empty_file_is_a_file(served):
    server, pusher = served
    assert pusher.upload(b"") == (201, {"have": 0})
    pusher.push("new", model(b""))
    assert (server.folder / "new/weights/a.bin").read_bytes() == b""


@pytest.mark.parametrize("way", ["reset", "close"])
def test_an_upload_that_is_cut_goes_on(served, way):
    server, pusher = served
    data = os.urandom(4 << 20)
    with Connection(server.address) as client:
        client.send(f"PUT /tensord/v1/blobs/{digest(data)}?offset=0&size={len(data)} HTTP/1.1\r\nHost: localhost\r\n"
                    f"Authorization: Bearer {server.admin_token}\r\nContent-Length: {len(data)}\r\n\r\n".encode())
        client.send(data[:3 << 20])
        processes.until(lambda: pusher.missing(data)[1]["missing"][0]["have"], what="something kept")
        if way == "reset":
            client.reset()
    def have():
        return pusher.missing(data)[1]["missing"][0]["have"]
    kept = processes.until(lambda: (now := have()) and pusher.upload(data, now, b"")[0] == 202 and have(), what="the lock")
    assert 0 < kept <= 3 << 20
    assert pusher.upload(data, kept)[0] == 201


def test_a_restart_goes_on_with_what_is_there(server, tmp_path):
    (tmp_path / "models").mkdir()
    first = server(tmp_path / "models")
    data = os.urandom(1 << 20)
    assert Pusher(first).upload(data, 0, data[:700_000])[0] == 202
    first.stop()
    second = server(tmp_path / "models", "--state-dir", first.state_dir)
    pusher = Pusher(second)
    assert pusher.missing(data)[1]["missing"] == [{"sha256": digest(data), "have": 700_000}]
    assert pusher.upload(data, 700_000)[0] == 201


def test_blobs_that_somebody_removes_are_sent_again(served):
    """As is done where a disk is full."""
    server, pusher = served
    data = os.urandom(1 << 20)
    for _ in range(2):
        assert pusher.upload(data, 0, data[:700_000])[0] == 202
        for path in (server.state_dir / "blobs").iterdir():
            path.unlink()
        assert pusher.missing(data)[1]["missing"] == [{"sha256": digest(data), "have": 0}]
    assert pusher.upload(data)[0] == 201


def test_two_uploads_of_one_blob(served):
    """One of them gets on, the other is told how far that is; at the end the blob is whole."""
    _, pusher = served
    data = os.urandom(8 << 20)
    def upload():
        have = 0
        while True:
            status, answer = pusher.upload(data, have)
            assert status in (201, 409), answer
            if status == 201:
                return
            have = answer["have"]
            time.sleep(0.01)
    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pusher.missing(data) == (200, {"missing": []})


def test_as_many_uploads_as_may_be(server, tmp_path):
    (tmp_path / "models").mkdir()
    started = server(tmp_path / "models", "--max-uploads", 1, "--max-blobs-mib", 1, "--max-blobs", 3)
    pusher = Pusher(started)
    with Connection(started.address) as client:
        client.send(f"PUT /tensord/v1/blobs/{'1' * 64}?offset=0&size=9 HTTP/1.1\r\nHost: localhost\r\n"
                    f"Authorization: Bearer {started.admin_token}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n".encode())
        client.take_until(b" 100 Continue\r\n\r\n")
        client.send(b"1234")
        assert pusher.upload(b"x")[0] == 503
    processes.until(lambda: pusher.upload(b"x")[0] == 201, what="room again")
    status, answer = pusher.upload(os.urandom(1 << 20))
    assert status == 507 and "as many bytes" in answer["error"]
    processes.until(lambda: pusher.upload(b"y")[0] == 201, what="what was refused to be forgotten")
    assert pusher.upload(b"z")[0] == 507
    status, _, body = started.fetch("/metrics")
    for limit in ("max_uploads", "max_blobs_mib", "max_blobs"):
        assert f'tensord_limit_hits_total{{limit="{limit}"}} 0' not in body.decode()
    assert "tensord_blobs 3" in body.decode()  # and what has come of the first one


def test_old_blobs_are_collected_unless_models_consist_of_them(server, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    first = server(folder)
    pusher = Pusher(first)
    pusher.push("new", model(b"used"))
    pusher.upload(b"left")
    pusher.upload(b"fresh")
    first.stop()
    blobs = first.state_dir / "blobs"
    for data in (b"used", b"left"):
        os.utime(blobs / digest(data), (1e9, 1e9))
    second = server(folder, "--state-dir", first.state_dir)
    processes.until(lambda: not (blobs / digest(b"left")).exists(), what="collection")
    pusher = Pusher(second)
    assert pusher.missing(b"used", b"fresh") == (200, {"missing": []})


def test_a_full_disk_is_told_and_survived(served):
    """A limit on the size of files stands for a disk that fills: EFBIG instead of ENOSPC."""
    import resource

    server, pusher = served
    front, = processes.named(server.pid, "front")
    data = os.urandom(3 << 20)
    front.rlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    for _ in range(2):
        have = pusher.missing(data)[1]["missing"][0]["have"]
        status, answer = pusher.upload(data, have)
        assert status == 507 and "disk is full" in answer["error"], answer
    assert pusher.missing(data)[1]["missing"][0]["have"] == 1 << 20
    assert answers(server, "here")
    front.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert pusher.upload(data, 1 << 20)[0] == 201


def in_a_namespace(script, *arguments):
    """The beginning of a command that is executed in a mount namespace of its own, after the script."""
    return ("unshare", "-rm", "sh", "-ec", script + '\nshift "$0"; exec "$@"', str(len(arguments)), *map(str, arguments))


def can_mount():
    try:
        return subprocess.run([*in_a_namespace("mount -t tmpfs tmpfs /mnt"), "true"], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")
def test_a_folder_of_models_that_fills_half_way(server, tmp_path):
    """Models lie on another file system, a small one: files are copied, and one that does not fit leaves nothing."""
    folder = tmp_path / "models"
    folder.mkdir()
    started = server(folder, starter=in_a_namespace('mount -t tmpfs -o size=4m tmpfs "$1"', folder))
    pusher = Pusher(started)
    small = model(b"s" * (1 << 20))
    pusher.push("small", small)
    assert pusher.events("small")[-1]["state"] == "ready"
    large = {**model(), **{f"{i}.bin": b"%d" % i * (1 << 20) for i in range(4)}}
    for _ in range(2):
        assert "disk is full" in pusher.push("large", large, status=507)["error"]
        assert answers(started, "small") and set(pusher.listed()) == {("small", 1)}
    pusher.push("other", model(b"o" * (2 << 20)))  # all the room is there again
    assert pusher.events("other")[-1]["state"] == "ready"
    listed = pusher.ask("GET", "models/small")[1]["files"]
    assert {one["path"]: one["sha256"] for one in listed} == {path: digest(data) for path, data in small.items()}


@pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")
def test_a_folder_of_blobs_that_fills_half_way(server, tmp_path):
    folder, state = tmp_path / "models", tmp_path / "state"
    folder.mkdir()
    (state / "blobs").mkdir(parents=True)
    started = server(folder, "--state-dir", state,
                     starter=in_a_namespace('mount -t tmpfs -o size=2m tmpfs "$1/blobs"', state))
    pusher = Pusher(started)
    data = os.urandom(3 << 20)
    assert pusher.upload(data)[0] == 507
    assert 0 < pusher.missing(data)[1]["missing"][0]["have"] < 3 << 20
    assert pusher.upload(b"small")[0] == 507 and started.fetch("/v2/health/ready")[0] == 200


def test_models_and_blobs_on_two_file_systems(server, tmp_path):
    """Files are copied: served, listed, replaced and removed all the same."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is but one file system")
    with tempfile.TemporaryDirectory(dir=memory) as state:
        folder = tmp_path / "models"
        folder.mkdir()
        started = server(folder, "--state-dir", state)
        pusher = Pusher(started)
        for files in (model(b"a" * 100000), model(b"b" * 100000)):
            pusher.push("new", files)
            assert pusher.events("new")[-1]["state"] == "ready" and answers(started, "new")
            assert files_of(folder / "new") == files
            listed = pusher.ask("GET", "models/new")[1]["files"]
            assert {one["path"]: one["sha256"] for one in listed} == {path: digest(data) for path, data in files.items()}
        assert pusher.ask("DELETE", "models/new")[0] == 200
        assert list(folder.iterdir()) == []
        started.stop()


def test_a_folder_that_may_not_be_written(server, tmp_path):
    folder = write_model(tmp_path / "models", "here", "identity", "INT32")
    folder.chmod(0o555)
    started = server(folder)
    started.wait_ready("here")
    pusher = Pusher(started)
    for answer in (pusher.push("new", model(), status=403), pusher.ask("DELETE", "models/here")[1]):
        assert "may not change its folder of models" in answer["error"]
    assert answers(started, "here")


def test_an_upload_by_curl(served):
    """Which asks first whether it may (Expect: 100-continue), and over HTTP/2 too."""
    server, pusher = served
    for i, options in enumerate((["--http1.1"], ["--http2-prior-knowledge"])):
        data = os.urandom(3 << 20) + bytes([i])
        path = server.folder.parent / "data"
        path.write_bytes(data)
        done = subprocess.run(["curl", "-sS", *options, "-T", path, "-H", f"Authorization: Bearer {server.admin_token}", "-w",
                               "%{http_code}", f"{server.url}/tensord/v1/blobs/{digest(data)}?size={len(data)}"],
                              capture_output=True, text=True, timeout=START_S)
        assert done.stdout == f'{{"have":{len(data)}}}201', done
        out = server.folder.parent / "out"
        subprocess.run(["curl", "-sS", *options, "-o", out, "-H", f"Authorization: Bearer {server.admin_token}",
                        f"{server.url}/tensord/v1/blobs/{digest(data)}"], timeout=START_S, check=True)
        assert out.read_bytes() == data


# ---- versions ----


def test_versions(served):
    server, pusher = served
    assert pusher.push("new", model(b"1"))["version"] == 1
    assert pusher.push("new", model(b"1 again"))["version"] == 1  # it has no folders of versions
    assert files_of(server.folder / "new") == model(b"1 again")
    assert pusher.push("new", model(b"2"), version=2)["version"] == 2
    assert files_of(server.folder / "new") == {f"{n}/{path}": data for n, files in ((1, model(b"1 again")), (2, model(b"2")))
                                               for path, data in files.items()}
    assert pusher.push("new", model(b"3"))["version"] == 3
    assert pusher.push("new", model(b"2 again"), version=2)["version"] == 2
    for version in (1, 2, 3):
        assert pusher.events("new", version)[-1]["state"] == "ready"
        assert answers(server, "new", version=version)
    assert files_of(server.folder / "new/2") == model(b"2 again")
    status, answer = pusher.ask("GET", "models/new")
    assert answer["version"] == 3
    assert pusher.ask("DELETE", "models/new?version=2") == (200, {})
    processes.until(lambda: {version for name, version in pusher.listed() if name == "new"} == {1, 3}, what="its end")
    assert pusher.ask("DELETE", "models/new?version=2")[0] == 404
    assert pusher.ask("DELETE", "models/new") == (200, {})
    pusher.wait_gone("new")
    assert server.infer("new", request([1], datatype="INT32"))[0] == 404
    folder_is_clean(server)


def test_a_repository_of_triton_is_pushed_as_it_is(served):
    server, pusher = served
    text = b'backend: "identity" input { name: "x" data_type: TYPE_INT32 dims: -1 } output { name: "y" data_type: TYPE_INT32 dims: -1 }'
    files = {"config.pbtxt": text, "1/weights.bin": b"1", "7/weights.bin": b"7"}
    assert pusher.push("triton", files)["version"] == 7
    for version in (1, 7):
        assert pusher.events("triton", version)[-1]["state"] == "ready"
        listed = {one["path"]: one["sha256"] for one in pusher.ask("GET", f"models/triton?version={version}")[1]["files"]}
        assert listed == {"config.pbtxt": digest(text), "weights.bin": digest(files[f"{version}/weights.bin"])}
    assert files_of(server.folder / "triton") == files
    assert pusher.push("triton", {"weights.bin": b"8"})["version"] == 8  # by the config that is there
    assert pusher.events("triton")[-1]["state"] == "ready"
    status, answer = pusher.put("triton", {**manifest(files), "version": 3})
    assert status == 400 and "leave the version out" in answer["error"]


def test_a_model_that_is_a_file_is_replaced(served):
    server, pusher = served
    from support import models

    models.save(models.constant(1), server.folder / "file.onnx")
    server.wait_ready("file")
    models.save(models.constant(2), server.folder.parent / "two.onnx")
    pusher.push("file", {"two.onnx": (server.folder.parent / "two.onnx").read_bytes()})
    assert pusher.events("file")[-1]["state"] == "ready"
    from support.repositories import value

    assert value(server, "file") == 2
    folder_is_clean(server, "file")
    assert pusher.ask("DELETE", "models/file") == (200, {})
    models.save(models.constant(1), server.folder / "file.onnx")
    server.wait_ready("file")
    assert pusher.ask("DELETE", "models/file") == (200, {})
    folder_is_clean(server)


# ---- replacing ----


def test_replacing_a_version_under_load_fails_no_request(served):
    server, pusher = served
    pusher.push("busy", model(b"0"))
    pusher.events("busy")
    stop, failed, count = threading.Event(), [], [0]

    def load():
        while not stop.is_set():
            status, body = server.infer("busy", request([1, 2, 3], datatype="INT32"))
            count[0] += 1
            if status != 200:
                failed.append(body)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(1, 9):
        pusher.push("busy", model(b"%d" % i))
        assert pusher.events("busy")[-1]["state"] == "ready"
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed and count[0] > 50, (failed[:3], count)
    assert files_of(server.folder / "busy") == model(b"8")
    folder_is_clean(server, "busy")


def test_a_replacement_that_does_not_load_leaves_the_old_one(served):
    server, pusher = served
    pusher.push("new", model(b"good"))
    pusher.events("new")
    pusher.push("new", model(b"bad", engine="nowhere"))
    told = pusher.events("new")
    assert told[-1]["state"] == "failed" and "newer files failed" in told[-1]["reason"]
    assert answers(server, "new")
    pusher.push("new", model(b"good"))
    assert pusher.events("new")[-1]["state"] == "ready"


def test_two_pushes_of_one_name_at_once(served):
    server, pusher = served
    versions = [model(b"%d" % i * 1000, datatype="INT32") for i in range(8)]
    for files in versions:
        for data in files.values():
            pusher.upload(data)
    bodies = [json.dumps(manifest(files)).encode() for files in versions]
    clients = [Connection(server.address, timeout_s=START_S) for _ in versions]
    for client, body in zip(clients, bodies):
        client.send(f"PUT /tensord/v1/models/new HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
                    f"Authorization: Bearer {server.admin_token}\r\n\r\n".encode() + body[:-1])
    for client, body in zip(clients, bodies):  # sooner than one of them can be done
        client.send(body[-1:])
    statuses = [client.response().status for client in clients]
    for client in clients:
        client.socket.close()
    assert set(statuses) <= {200, 409} and 200 in statuses and 409 in statuses, statuses
    assert files_of(server.folder / "new") in versions
    assert pusher.events("new")[-1]["state"] == "ready"
    folder_is_clean(server, "new")


def test_many_pushes_at_once_whose_clients_do_not_wait(served):
    """More than run at a time: each is done, or refused, whether or not its client is still there."""
    server, pusher = served
    files = model(b"many")
    for data in files.values():
        pusher.upload(data)
    body = json.dumps(manifest(files)).encode()
    for i in range(20):
        with Connection(server.address) as client:
            client.send(f"PUT /tensord/v1/models/many-{i} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
                        f"Authorization: Bearer {server.admin_token}\r\n\r\n".encode() + body)
            client.reset() if i % 2 else None
    processes.until(lambda: sum("push many-" in line for line in server.err.seen) == 20, START_S, "20 lines of the audit log")
    assert all(": ok" in line for line in server.err.seen if "push many-" in line)
    folder_is_clean(server, *(f"many-{i}" for i in range(20)))
    for i in range(20):
        assert pusher.events(f"many-{i}")[-1]["state"] == "ready"


# ---- who may ----


def test_code_needs_a_scope_of_its_own(served):
    server, _ = served
    deployer = Pusher(server, create(server.state_dir, scope="deploy"))
    coder = Pusher(server, create(server.state_dir, scope="code"))
    processes.until(lambda: all(one.ask("GET", "models")[0] == 200 for one in (deployer, coder)), what="the tokens")
    code = {"model.py": b"def predict(x: list[int]) -> list[int]:\n    return x\n"}
    disguised = {"model.yaml": b"backend: python\ndefault_model_filename: weights.bin\n", "weights.bin": code["model.py"]}
    nested = {"1/model.py": code["model.py"], "2/model.py": code["model.py"]}
    for files in (code, disguised, nested):
        answer = deployer.push("new", files, status=403)
        assert "scope 'code'" in answer["error"]
        folder_is_clean(server)
    deployer.push("data", model())
    coder.push("new", code)
    assert deployer.ask("GET", "models/new")[0] == 403 and coder.ask("GET", "models/new")[0] == 200
    assert deployer.ask("GET", "models/data")[0] == 200
    for said in ("push new: ok", "push new: loading"):
        processes.until(lambda said=said: any(said in line for line in server.err.seen if "audit" in line), what=said)


# (the format that the server sees, whether pushing it takes the scope `code`) of files.
JUDGED = {
    "skops": ("skops", False, ["a.skops"]),
    "weights": ("transformers", False, ["model.safetensors", "config.json"]),
    "two-weights": ("transformers", True, ["a.safetensors", "pytorch_model.bin", "config.json"]),
    "sentences": ("sentence_transformers", True, ["model.safetensors", "config.json", "modules.json"]),
    "trees-beside-a-pickle": ("xgboost", False, ["model.ubj", "evil.pkl", "evil.mar", "evil.py"]),
    "pickle": ("sklearn", True, ["a.pkl", "b.ubj"]),
    "needs-packages": ("skops", True, ["a.skops", "requirements.txt"]),
    "needs-a-lock": ("skops", True, ["a.skops", "pylock.toml"]),
    "asks-in-its-config": ("skops", True, ["a.skops", "model.yaml"]),
}


def test_what_is_loaded_is_what_was_judged(server, tmp_path):
    """Which scope a push takes follows from what would be loaded; nothing else in the folder is."""
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho error: no packages in this test\nexit 1\n")
    uv.chmod(0o755)
    started = server(None, "--uv", uv)
    deployer, coder = (Pusher(started, create(started.state_dir, scope=scope)) for scope in ("deploy", "code"))
    processes.until(lambda: all(one.ask("GET", "models")[0] == 200 for one in (deployer, coder)), what="the tokens")
    for name, (form, code, files) in JUDGED.items():
        contents = {file: f"{name} {file}".encode() for file in files}
        if "model.yaml" in contents:
            contents["model.yaml"] = b"python: {requirements: [six]}"
        answer = deployer.push(name, contents, status=403 if code else 200)
        if code:
            assert "scope 'code'" in answer["error"], name
            coder.push(name, contents)
        assert coder.listed()[name, 1]["format"] == form, name


def test_models_of_others_do_not_exist(served):
    server, pusher = served
    other = Pusher(server, create(server.state_dir, scope="deploy", model="other*"))
    processes.until(lambda: other.ask("GET", "models")[0] == 200, what="the token")
    for data in model().values():
        pusher.upload(data)
    for answer in (other.put("here", manifest(model())), other.ask("GET", "models/here"), other.ask("DELETE", "models/here"),
                   other.ask("GET", "models/here/events"), other.ask("GET", "models/here/logs")):
        assert answer == (404, {"error": "Request for unknown model: 'here' is not found"})
    assert other.put("other-1", manifest(model()))[0] == 200
    assert {name for name, _ in other.listed()} == {"other-1"}


# ---- events and logs ----


def test_events_tell_what_the_model_says(served):
    server, pusher = served
    pusher.push("bad", model(engine="nowhere"))
    told = pusher.events("bad")
    assert told[-1]["state"] == "failed" and "nowhere" in told[-1]["reason"]
    assert any("nowhere" in event.get("log", "") for event in told)
    status, _, body = server.fetch("/tensord/v1/models/bad/logs?lines=1")
    assert status == 200 and body.count(b"\n") == 1 and b"nowhere" in body
    assert server.fetch("/tensord/v1/models/absent/events")[0] == server.fetch("/tensord/v1/models/absent/logs")[0] == 404
    assert server.fetch("/tensord/v1/models/here/logs?lines=x")[0] == 400


def stream(server, path, token=None):
    """A connection that reads a stream."""
    client = Connection(server.address)
    client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token or server.admin_token}\r\n\r\n".encode())
    assert b" 200 " in client.take_until(b"\r\n\r\n")
    return client


def test_followers_hear_what_happens(served):
    server, pusher = served
    with stream(server, "/tensord/v1/models/here/events?follow=1") as events, \
            stream(server, "/tensord/v1/models/here/logs?follow=1&lines=0") as logs:
        events.take_until(b'"ready"')
        pusher.push("here", model(b"new"))
        logs.take_until(b"v1: ready")
        pusher.ask("DELETE", "models/here")
        assert b"it was removed" in events.rest_of_chunks()
        assert logs.rest_of_chunks() is not None


def test_followers_whose_token_is_revoked_hear_no_more(served):
    server, _ = served
    mine = create(server.state_dir, scope="deploy", name="leaked")
    processes.until(lambda: server.fetch("/v2", headers=bearer(mine))[0] == 200, START_S, "the token")
    with stream(server, "/tensord/v1/models/here/events?follow=1", mine) as events, \
            stream(server, "/tensord/v1/models/here/logs?follow=1&lines=0", mine) as logs:
        events.take_until(b'"ready"')
        revoke(server.state_dir, "leaked")
        for client in (events, logs):
            assert b"0\r\n\r\n" not in client.rest()  # cut, not ended
    assert answers(server, "here")


def test_followers_do_not_keep_a_server_from_ending(served):
    server, _ = served
    with stream(server, "/tensord/v1/models/here/events?follow=1") as client:
        client.take_until(b'"ready"')
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 20


# ---- what a crash leaves ----


def test_a_killed_server_leaves_nothing_half_deployed(server, tmp_path):
    """The front, and with it the installer, is killed at some moment of a push, again and again: what is there is one
    version or the other, whole, and the next start clears the rest away."""
    folder = tmp_path / "models"
    folder.mkdir()
    versions = [{**model(b"%d" % i), **{f"more/{n}.bin": b"%d %d" % (i, n) for n in range(200)}} for i in range(2)]
    state = None
    for turn in range(6):
        started = server(folder, *(("--state-dir", state) if state else ()))
        state = started.state_dir
        pusher = Pusher(started)
        if turn == 0:
            for files in versions:
                for data in files.values():
                    pusher.upload(data)
            pusher.put("new", manifest(versions[0]))
        else:
            processes.until(lambda: [path.name for path in folder.iterdir()] == ["new"], START_S, "a clean folder")
            assert files_of(folder / "new") in versions
            started.wait_ready("new")
            assert answers(started, "new")
        thread = threading.Thread(target=lambda: try_put(pusher, manifest(versions[turn % 2])))
        thread.start()
        time.sleep(0.004 * turn)
        started.kill()
        thread.join()
    last = server(folder, "--state-dir", state)
    processes.until(lambda: [path.name for path in folder.iterdir()] == ["new"], START_S, "a clean folder")
    last.wait_ready("new")
    assert files_of(folder / "new") in versions


def try_put(pusher, described):
    try:
        pusher.put("new", described)
    except OSError:
        pass


def test_an_installer_that_is_killed_leaves_nothing(served):
    server, pusher = served
    versions = [{**model(b"%d" % i), **{f"more/{n}.bin": b"%d %d" % (i, n) for n in range(200)}} for i in range(2)]
    for files in versions:
        for data in files.values():
            pusher.upload(data)
    assert pusher.put("new", manifest(versions[0]))[0] == 200
    killed = []
    for turn in range(1, 60):
        thread = threading.Thread(target=lambda: killed.append(pusher.put("new", manifest(versions[turn % 2]))))
        thread.start()
        struck = set()  # it, and the one that comes to tidy up after it
        while thread.is_alive():
            for child in server.installers():
                if child.pid in struck or len(struck) < 2:
                    child.kill()
                    struck.add(child.pid)
        thread.join()
        if killed.pop()[0] == 500:
            break
    else:
        pytest.skip("none was met at work")
    processes.until(lambda: sorted(path.name for path in server.folder.iterdir()) == ["here", "new"], 60, "a clean folder")
    assert files_of(server.folder / "new") in versions
    assert pusher.push("new", versions[0])["name"] == "new" and pusher.events("new")[-1]["state"] == "ready"


def test_what_an_installer_took_away_is_put_back(server, tmp_path):
    """As on a file system that cannot exchange two folders: the old one was taken away, the new one not put there yet."""
    folder = write_model(tmp_path / "models", "old", "identity", "INT32")
    staging = folder / ".push-0123456789abcdef"
    staging.mkdir()
    (staging / "target").write_text("old")
    (folder / "old").rename(staging / "old")
    started = server(folder)
    started.wait_ready("old")
    processes.until(lambda: not staging.exists(), what="the staging folder gone")
    assert ("old", "1") in index(started)
