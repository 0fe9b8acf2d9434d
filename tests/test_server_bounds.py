"""What managed servers may use is bounded, with all that they start: memory, processes, disk."""
from pathlib import Path

import pytest

from support.managed import WITHOUT_NAMESPACES, apps, ask, needs_root, served_by_nobody, told, write_server
from support.processes import until

# Each with its children, none of which takes so much that it would be noticed alone.
TAKES = {
    "memory": ("""
for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        block = bytearray(b"x") * (70 << 20)
        __import__("time").sleep(600)
__import__("time").sleep(600)
""", {"memory_mib": 200}, "MiB of memory, its limit is 200 MiB: set sandbox.memory_mib in its model.yaml, or --worker-memory-mib",
               "worker_memory_mib"),
    "processes": ("""
for _ in range(100):
    if os.fork() == 0:
        os.setsid()
        __import__("time").sleep(600)
__import__("time").sleep(600)
""", {"pids": 60}, "threads and processes, its limit is 60: set sandbox.pids in its model.yaml, or --server-pids", "worker_pids"),
    "disk": ("""
for number in range(100):
    open(os.environ["TMPDIR"] + f"/{number}", "wb").write(bytes(1 << 20))
__import__("time").sleep(600)
""", {"scratch_mib": 30}, "MiB to its scratch folder, its limit is 30 MiB: set sandbox.scratch_mib in its model.yaml, "
             "or --server-scratch-mib", "worker_scratch_mib"),
    "shared memory": ("""
for number in range(15):
    open(f"/dev/shm/{number}", "wb").write(bytes(10 << 20))
__import__("time").sleep(600)
""", {"memory_mib": 100}, None, None),
}


def takes_without_end(served, what):
    """It is ended, with all that it has started, the caller and the log are told why, and it is started again."""
    code, _, why, limit = TAKES[what]
    before = told(served, "app", "/echo")["environment"]["HOME"]
    status, body = ask(served, "app", "/try", code.encode(), timeout_s=60)
    assert status == 502 and why in body.decode(), (status, body)
    until(lambda: why in served.err.text(), 30, "the reason in the log")
    assert ask(served, "app", "/echo")[0] == 200
    until(lambda: len(apps(served)) == 1, 30, "nothing but the new one")
    until(lambda: not Path(before).exists(), 30, "nothing of its scratch folder")
    assert f'tensord_limit_hits_total{{limit="{limit}"}} 1\n' in served.fetch("/metrics")[2].decode()


@pytest.mark.parametrize("what", ["memory", "processes", "disk"])
@pytest.mark.parametrize("namespaces", [True, False], ids=["namespaces", "no namespaces"])
def test_it_is_bounded_with_all_that_it_starts(server, tmp_path, what, namespaces):
    write_server(tmp_path, "app", health="/health", sandbox=TAKES[what][1])
    served = server(tmp_path, starter=[] if namespaces else WITHOUT_NAMESPACES).wait_ready("app")
    takes_without_end(served, what)


@needs_root
def test_it_is_bounded_as_an_ordinary_user():
    """Its processes are in a namespace of users, too."""
    with served_by_nobody("/usr/bin/python3 -B app.py {port}", health="/health", sandbox=TAKES["memory"][1]) as served:
        takes_without_end(served, "memory")


def test_its_shared_memory_is_bounded(server, tmp_path):
    """What lies in /dev/shm counts, and the folder has no room for more."""
    code, limits, *_ = TAKES["shared memory"]
    write_server(tmp_path, "app", health="/health", sandbox=limits)
    served = server(tmp_path).wait_ready("app")
    status, body = ask(served, "app", "/try", code.encode(), timeout_s=60)
    assert b"No space left" in body or (status == 502 and b"MiB of memory, its limit is 100 MiB" in body), (status, body)
    until(lambda: ask(served, "app", "/echo")[0] == 200, 60, "it again")


def test_limits_of_the_command_line_hold_for_servers(server, tmp_path):
    write_server(tmp_path, "app", health="/health")
    served = server(tmp_path, "--server-pids", 64, "--server-scratch-mib", 30).wait_ready("app")
    status, body = ask(served, "app", "/try", TAKES["disk"][0].encode(), timeout_s=60)
    assert status == 502 and b"its limit is 30 MiB" in body
    status, body = ask(served, "app", "/try", TAKES["processes"][0].encode(), timeout_s=60)
    assert status == 502 and b"its limit is 64: " in body
