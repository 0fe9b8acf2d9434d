"""A full disk, no descriptors, no memory: the server refuses, says so, and recovers, with the same processes."""
import json
import os
import resource
import subprocess
from pathlib import Path

import pytest

from support import processes
from support.repositories import request, write_model
from support.server import binary, fetch
from support.sockets import Connection, request as http_request
from support.victim import is_sanitized

MIB = 1 << 20
GOOD = request([1, 2.5])
SPARE_FDS = 12  # fewer than a model's channel and a look take together with what comes and goes


def infers(server, model="echo"):
    status, body = server.infer(model, GOOD)
    assert status == 200, body
    return body["outputs"][0]["data"] == [1, 2.5]


def load(server, model="echo"):
    status, _, body = server.fetch(f"/v2/repository/models/{model}/load", {})
    return status, body


def unload(server, model="echo"):
    assert server.fetch(f"/v2/repository/models/{model}/unload", {})[0] == 200


class Kept(Connection):
    """A connection with the owner's token that stays open."""

    def __init__(self, server):
        super().__init__(server.address, timeout_s=60)
        self.token = {"Authorization": f"Bearer {server.admin_token}"}

    def ask(self, method, path, data=None):
        self.send(http_request(method, path, self.token, json.dumps(data).encode() if data is not None else b""))
        return self.response()


def limit_hits(kept, limit):
    text = kept.ask("GET", "/metrics").body.decode()
    line, = [line for line in text.splitlines() if line.startswith(f'tensord_limit_hits_total{{limit="{limit}"}}')]
    return float(line.split()[1])


# ---- no descriptors ----


@pytest.fixture
def served(server, tmp_path):
    folder = write_model(tmp_path / "models", "echo", "identity")
    write_model(folder, "other", "identity")
    return server(folder).wait_ready("echo").wait_ready("other")


@pytest.mark.parametrize("most, sentence", [(127, "the limit on open files is 127, and 128 is the least"), (128, None), (4096, None)])
def test_limits_on_open_files_at_the_start(server, tmp_path, most, sentence):
    """The soft one is raised; of the hard one it says what is the least, or serves."""
    folder = write_model(tmp_path / "models", "echo", "identity")

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, most))

    if sentence:
        asked = subprocess.run([binary(), "serve", folder], preexec_fn=limit, capture_output=True, text=True, timeout=60)
        assert asked.returncode != 0 and sentence in asked.stderr and "LimitNOFILE" in asked.stderr
    else:
        started = server(folder, preexec_fn=limit)
        started.wait_ready("echo")
        assert infers(started)
        started.stop()


def without_descriptors(server, crowd):
    """Opens connections until the server can accept no more; its limit is lowered for that."""
    front = server.front()
    most = front.num_fds() + SPARE_FDS
    front.rlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    crowd += [Connection(server.address) for _ in range(2 * SPARE_FDS)]
    assert server.err.wait_for("new connections wait: Too many open files", 60), server.err.text()


def test_without_descriptors_new_clients_wait_and_those_that_are_there_are_served(served):
    front, crowd = served.front().pid, []
    with Kept(served) as kept:
        without_descriptors(served, crowd)
        for _ in range(20):
            assert kept.ask("POST", "/v2/models/echo/infer", GOOD).status == 200
        assert limit_hits(kept, "descriptors") > 0
        waiting = crowd[-1]
        waiting.send(http_request("GET", "/v2/health/live"))
        for conn in crowd[:-1]:
            conn.socket.close()
        assert waiting.response().status == 200  # it had only to wait
        waiting.socket.close()
    assert infers(served) and infers(served, "other")
    assert served.err.text().count("new connections wait") == 1
    assert served.front().pid == front


def test_without_descriptors_a_load_fails_with_a_reason_and_later_works(served):
    front, crowd = served.front().pid, []
    with Kept(served) as kept:
        unload(served)
        without_descriptors(served, crowd)
        answer = kept.ask("POST", "/v2/repository/models/echo/load", {})
        assert answer.status >= 400 and b"failed to load 'echo'" in answer.body, answer.body
        assert kept.ask("POST", "/v2/models/other/infer", GOOD).status == 200
        for conn in crowd:
            conn.socket.close()
    processes.until(lambda: load(served)[0] == 200, 60, "a load")
    assert infers(served) and infers(served, "other")
    assert served.front().pid == front


# ---- no memory ----


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer's addresses are more than any limit")
def test_without_memory_a_request_is_refused_and_others_are_served(served):
    front = served.front()
    values = [0.5] * (4 * MIB)  # 16 MiB of text, as many of tensors
    assert infers(served)
    front.rlimit(resource.RLIMIT_AS, (front.memory_info().vms + 4 * MIB, resource.RLIM_INFINITY))
    for _ in range(3):
        try:
            status, body = served.infer("echo", request(values))
        except ConnectionError:  # refused while it was being sent
            continue
        assert status >= 400 and "memory" in body["error"], (status, body)
    assert infers(served) and infers(served, "other")
    front.rlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    status, body = served.infer("echo", request(values))
    assert status == 200 and len(body["outputs"][0]["data"]) == len(values)
    assert served.front().pid == front.pid


# ---- a full disk ----

DISK_BYTES = 64 << 10


def in_a_namespace(*command):
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return ["unshare", *user, "--mount", *command]


def can_mount():
    try:
        return subprocess.run(in_a_namespace("mount", "-t", "tmpfs", "none", "/mnt"), check=False,
                              capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


needs_mounts = pytest.mark.skipif(not can_mount(), reason="file systems cannot be mounted here")


class Disk:
    """A small disk, mounted where only the server sees it."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        script = f'mount -t tmpfs -o mode=700,size={DISK_BYTES} none "$0" && exec "$@"'
        self.starter = in_a_namespace("sh", "-c", script, folder)

    def seen_by(self, server):
        """The folder as this process can reach it."""
        return Path(f"/proc/{server.pid}/root{self.folder}")

    def fill(self, server):
        with open(self.seen_by(server) / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(bytes(512))

    def empty(self, server):
        (self.seen_by(server) / "filler").unlink()


@needs_mounts
def test_a_full_disk_stops_the_audit_log_and_nothing_else(server, tmp_path):
    disk = Disk(tmp_path / "disk")
    folder = write_model(tmp_path / "models", "echo", "identity")
    served = server(folder, "--audit-log", disk.folder / "audit", starter=disk.starter).wait_ready("echo")
    front = served.front().pid
    disk.fill(served)
    for _ in range(50):  # what was left of the file's last block is used up
        unload(served)
        assert load(served)[0] == 200
    assert served.err.wait_for("a line could not be written to the audit log", 60)
    assert infers(served)
    disk.empty(served)
    unload(served)
    assert load(served)[0] == 200
    lines = (disk.seen_by(served) / "audit").read_text().splitlines()
    assert json.loads(lines[-1])["action"] == "load" and json.loads(lines[-2])["action"] == "unload"
    assert sum(not line.endswith("}") for line in lines) <= 1  # the one that had no room
    assert served.front().pid == front


@needs_mounts
def test_a_full_disk_under_the_log_is_survived(server, tmp_path):
    disk = Disk(tmp_path / "disk")
    disk.starter[-2] = disk.starter[-2].replace('exec "$@"', 'exec "$@" 2>"$0/log"')
    folder = write_model(tmp_path / "models", "echo", "identity")
    served = server(folder, "--access-log", "all", starter=disk.starter).wait_ready("echo")
    front = served.front().pid
    disk.fill(served)
    for _ in range(300):
        assert infers(served)
    unload(served)
    assert load(served)[0] == 200
    disk.empty(served)
    assert served.infer("echo", GOOD, headers={"X-Request-Id": "after-all"})[0] == 200
    processes.until(lambda: "after-all" in (disk.seen_by(served) / "log").read_text(), 60, "the log goes on")
    assert served.front().pid == front


@needs_mounts
def test_a_full_disk_refuses_a_token_with_a_reason(server, tmp_path):
    disk = Disk(tmp_path / "disk")
    folder = write_model(tmp_path / "models", "echo", "identity")
    served = server(folder, "--state-dir", disk.folder, "--anonymous", "admin", starter=disk.starter)
    served.wait_anonymously("echo")
    here = ["nsenter", f"--mount=/proc/{served.pid}/ns/mnt"]
    if os.geteuid() != 0:
        here[1:1] = [f"--user=/proc/{served.pid}/ns/user", "--preserve-credentials"]
    tokens = (disk.seen_by(served) / "tokens").read_bytes()
    disk.fill(served)

    def create(name):
        return subprocess.run([*here, binary(), "token", "create", "--name", name, "--scope", "read", "--state-dir",
                               str(disk.folder)], capture_output=True, text=True, check=False)

    refused = create("one")
    assert refused.returncode != 0 and "No space left" in refused.stderr, refused
    assert (disk.seen_by(served) / "tokens").read_bytes() == tokens
    assert fetch(f"{served.url}/v2/models/echo/infer", GOOD)[0] == 200
    disk.empty(served)
    assert create("one").returncode == 0


@needs_mounts
def test_a_first_start_on_a_full_disk_serves_without_tokens_and_says_so(server, tmp_path):
    disk = Disk(tmp_path / "disk")
    disk.starter[-2] = disk.starter[-2].replace("size=", "nr_inodes=1,size=")
    folder = write_model(tmp_path / "models", "echo", "identity")
    served = server(folder, "--state-dir", disk.folder, starter=disk.starter)
    served.wait_anonymously("echo")
    assert fetch(f"{served.url}/v2/models/echo/infer", GOOD)[0] == 200
    assert served.err.wait_for("no tokens: .*No space left on device", 60)
