"""Bad pushes: the right status and sentence, nothing half deployed, and a server that is as it was before."""
import json
import os

import pytest

from support.pushes import Pusher, config, digest, manifest
from support.sockets import Connection, request
from support.tokens import bearer
from support.victim import check_sentence

GOOD = {"model.yaml": config()}
NO = "0" * 64
FILE = {"path": "a", "sha256": NO, "size": 1}


@pytest.fixture
def pusher(victim):
    """A pusher to the victim, which is checked afterwards: nothing has become of the bad input."""
    one = Pusher(victim.server)
    before = listing(victim)
    yield one
    victim.check()
    assert listing(victim) == before
    assert {name for name, _ in one.listed()} == {"echo", "other", "text", "wild"}


def listing(victim):
    folder = victim.folder
    return sorted((str(path.relative_to(folder)), path.is_dir() or path.read_bytes()) for path in folder.rglob("*"))


def raw(victim, method, path, body=b"", headers=()):
    with Connection(victim.address) as client:
        client.send(request(method, path, {**bearer(victim.server.admin_token), **dict(headers)}, body))
        return client.response()


NAMES = {"two dots": "..", "encoded dots": "%2e%2e", "a slash": "a/b", "an encoded slash": "a%2fb", "empty": "", "256": "x" * 256,
         "a dot in front": ".x", "a staging folder": ".push-0123456789abcdef", "a number": "12", "a config": "model.yaml",
         "another config": "config.pbtxt", "a model's file": "model.onnx", "a backslash": "a%5cb", "a line feed": "a%0ab",
         "NUL": "a%00b", "no UTF-8": "%ff", "lost+found": "lost+found", "DEL": "%7f"}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
def test_names(victim, pusher, name, method):
    body = json.dumps(manifest(GOOD)).encode() if method == "PUT" else b""
    pusher.upload(GOOD["model.yaml"])
    answer = raw(victim, method, f"/tensord/v1/models/{name}", body)
    assert answer.status in (400, 404), answer.body
    check_sentence(answer.json()["error"])


def described(*paths):
    return {"version": None, "files": [{"path": path, "sha256": NO, "size": 1} for path in paths]}


MANIFESTS = {
    "parent": described("../a"), "parent inside": described("a/../../b"), "absolute": described("/etc/passwd"),
    "dot": described("./a"), "empty part": described("a//b"), "slash at the end": described("a/"), "empty path": described(""),
    "twice": described("a", "a"), "file and folder": described("a", "a-b", "a/b"), "file and folder deeper": described("a/b/c", "a/b"),
    "part of 256 bytes": described("a" * 256), "path of 2000 bytes": described("/".join(["a" * 200] * 10)),
    "nine parts": described("a/b/c/d/e/f/g/h/i"), "backslash": described("a\\b"), "NUL": described("a\0b"),
    "control": described("a\x1bb"), "10,001 files": described(*(f"f{i}" for i in range(10001))), "100,000 files": described(*(f"f{i}" for i in range(100000))),
    "no files": described(), "no members": {}, "no object": [], "a number": 7, "unknown member": {**described("a"), "mode": 7},
    "files twice": b'{"files": [], "files": []}', "unknown member of a file": {"files": [{**FILE, "mode": 511}]},
    "no path": {"files": [{"sha256": NO, "size": 1}]}, "no size": {"files": [{"path": "a", "sha256": NO}]},
    "no sha256": {"files": [{"path": "a", "size": 1}]}, "short sha256": {"files": [{**FILE, "sha256": "00"}]},
    "upper case": {"files": [{**FILE, "sha256": "A" * 64}]}, "path for a sha256": {"files": [{**FILE, "sha256": "../" * 21 + "x"}]},
    "negative size": {"files": [{**FILE, "size": -1}]}, "size that overflows": {"files": [{**FILE, "size": 1 << 64}]},
    "sizes that overflow": {"files": [{**FILE, "path": str(i), "size": (1 << 63) - 1} for i in range(4)]},
    "size 1.5": {"files": [{**FILE, "size": 1.5}]}, "version 0": {**described("a"), "version": 0},
    "version -1": {**described("a"), "version": -1}, "version 2^63": {**described("a"), "version": 1 << 63},
    "version as text": {**described("a"), "version": "1"}, "half a manifest": b'{"files": [{"path": "a"',
    "250,000 brackets": b'{"files":' + b"[" * 250000, "no JSON": b"\xff\xfe", "empty": b"",
    "lone surrogate": b'{"files":[{"path":"\\ud800","sha256":"' + NO.encode() + b'","size":1}]}',
}


@pytest.mark.parametrize("bad", MANIFESTS.values(), ids=MANIFESTS)
def test_manifests(victim, pusher, bad):
    body = bad if isinstance(bad, bytes) else json.dumps(bad).encode()
    answer = raw(victim, "PUT", "/tensord/v1/models/new", body)
    assert answer.status == (413 if len(body) > 4 << 20 else 400), answer.body
    check_sentence(answer.json()["error"])


def test_what_is_no_model(pusher):
    for files, word in (({"notes.txt": b"x"}, "known format"), ({"model.yaml": b"backnd: identity"}, "backend"),
                        ({"model.yaml": config(), "config.pbtxt": b""}, "another config"), ({"sub/model.onnx": b"x"}, "known format")):
        answer = pusher.push("new", files, status=400)
        assert word in answer["error"], answer
        check_sentence(answer["error"])


def test_sizes_that_lie(pusher):
    data = os.urandom(1000)
    assert pusher.upload(data)[0] == 201
    lie = {"version": None, "files": [{"path": "model.onnx", "sha256": digest(data), "size": 999}]}
    assert pusher.put("new", lie)[0] == 400
    assert pusher.upload(data, size=999, part=data[:999])[0] == 422  # it is there, and is larger
    fresh = os.urandom(1000)
    assert pusher.upload(fresh, part=fresh + b"x", size=1000)[0] == 400
    assert pusher.upload(fresh, offset=1001, part=b"", size=1000)[0] == 400
    assert pusher.upload(fresh, offset=0, part=fresh[:600])[0] == 202
    assert pusher.upload(fresh, offset=600, part=b"", size=600)[0] == 422  # 600 bytes are not it
    assert pusher.missing(fresh)[1]["missing"][0]["have"] == 0
    assert pusher.upload(fresh, part=fresh[:600])[0] == 202
    assert pusher.upload(fresh, offset=500, part=b"", size=500)[0] == 422  # more of it is there
    assert pusher.missing(fresh)[1]["missing"][0]["have"] == 0


def test_more_bytes_than_said_in_chunks(victim, pusher):
    data = os.urandom(100)
    with Connection(victim.address) as client:
        client.send(f"PUT /tensord/v1/blobs/{digest(data)}?size=100 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                    f"Authorization: Bearer {victim.server.admin_token}\r\n\r\n".encode())
        client.send(b"c8\r\n" + data + data + b"\r\n0\r\n\r\n")
        assert client.response().status == 400
    assert pusher.upload(data, pusher.missing(data)[1]["missing"][0]["have"])[0] in (201, 409)


def test_another_content(pusher):
    data = os.urandom(300_000)
    for _ in range(2):
        status, answer = pusher.upload(data, part=data[:-1] + bytes([data[-1] ^ 1]))
        assert status == 422 and "another sha256" in answer["error"]
        assert pusher.missing(data)[1]["missing"] == [{"sha256": digest(data), "have": 0}]


QUERIES = {"no size": "", "size -1": "size=-1", "size 2^64": f"size={1 << 64}", "size twice as large as there is": f"size={1 << 62}",
           "offset abc": "size=9&offset=abc", "offset beyond": "size=9&offset=10", "empty": "size=&offset=", "size 1e3": "size=1e3"}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_queries(victim, pusher, query):
    answer = raw(victim, "PUT", f"/tensord/v1/blobs/{NO}?{query}", b"x")
    assert answer.status in (400, 507), answer.body
    check_sentence(answer.json()["error"])


@pytest.mark.parametrize("name", ["x", "../../etc/passwd", "%2e%2e%2f" * 8, "A" * 64, "g" * 64, "0" * 65, "missing", NO + ".part"])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_digests(victim, pusher, name, method):
    assert raw(victim, method, f"/tensord/v1/blobs/{name}?size=1", b"x" if method == "PUT" else b"").status in (400, 404, 405)


ASKED = {"no blobs": {}, "no list": {"blobs": 7}, "no sha256": {"blobs": [{"size": 1}]}, "bad sha256": {"blobs": [{"sha256": "x"}]},
         "unknown member": {"blobs": [{"sha256": NO, "path": "a"}]}, "too many": {"blobs": [{"sha256": NO, "size": 1}] * 10001},
         "twice": b'{"blobs": [], "blobs": []}', "no JSON": b"blobs"}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_questions(victim, pusher, asked):
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    assert raw(victim, "POST", "/tensord/v1/blobs/missing", body).status == 400


def test_uploads_that_are_given_up_cost_nothing(victim):
    """Again and again: no descriptor and no memory stays."""
    victim.server.fetch("/tensord/v1/models")
    head = (f"Host: localhost\r\nAuthorization: Bearer {victim.server.admin_token}\r\nContent-Length: 100000\r\n\r\n").encode()
    turn = [0]

    def attack():
        turn[0] += 1
        with Connection(victim.address) as client:
            client.send(f"PUT /tensord/v1/blobs/{turn[0] % 4:064x}?size=100000 HTTP/1.1\r\n".encode() + head + b"x" * 1000)
            client.reset()
    victim.descriptors += 8  # unfinished ones stay open for a moment
    victim.survives(attack)


def test_links_in_the_folder_lead_nowhere(victim, tmp_path):
    """A model's name that is a link to a folder elsewhere: what it leads to is not touched."""
    pusher = Pusher(victim.server)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    (victim.folder / "link").symlink_to(elsewhere)
    try:
        answer = pusher.push("link", GOOD, status=409)
        check_sentence(answer["error"])
        assert [path.name for path in elsewhere.iterdir()] == ["kept"]
        assert pusher.ask("DELETE", "models/link")[0] == 200
        assert [path.name for path in elsewhere.iterdir()] == ["kept"]
    finally:
        (victim.folder / "link").unlink(missing_ok=True)
    victim.check()
