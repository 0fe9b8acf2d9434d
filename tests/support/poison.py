"""Drops broken models into a folder that is served, and holds the server to what it promises: it stays, the other
models answer, each broken one serves or fails with a reason, and nothing of them is left."""
import subprocess

from support import models, processes
from support.mutants import mutants
from support.processes import until
from support.repositories import index, value
from support.server import binary, is_sanitized
from support.victim import LEAKS, MEMORY_ONCE

GROUP = 10  # dropped together
SETTLE_S = 120


def own_processes(server):
    """The spawner and the front."""
    return [process for process in processes.tree(server.pid) if "worker" not in processes.cmdline(process)]


def rss_bytes(server):
    return sum(process.memory_info().rss for process in own_processes(server))


def fd_count(server):
    return sum(process.num_fds() for process in own_processes(server))


def drop(folder, group):
    for name, data in group:
        (folder / f".{name}").write_bytes(data)
        (folder / f".{name}").rename(folder / f"{name}.onnx")


def settled(server, names):
    """What has become of each, once nothing is on its way any more; None until then."""
    entries = {name: entry for (name, _), entry in index(server).items()}
    if any(entries.get(name, {}).get("state") not in ("READY", "UNAVAILABLE") for name in names):
        return None
    return {name: entries[name] for name in names}


def check_entries(server, entries):
    """Each that failed says why, in the index and in `tensord ls`."""
    listed = subprocess.run([binary(), "ls", "--to", server.url], capture_output=True, text=True, check=True, timeout=60)
    for name, entry in entries.items():
        if entry["state"] == "READY":
            continue
        assert entry["reason"], name
        assert not LEAKS.search(entry["reason"]), (name, entry["reason"])
        [line] = [line for line in listed.stdout.splitlines() if line.startswith(name + " ")]
        assert entry["reason"][:100].encode("ascii", "replace") in line.encode("ascii", "replace"), name


def survive_mutants(server, folder, seed, count):
    """The whole story; `server` is the fixture."""
    (folder / "models").mkdir()
    models.save(models.constant(7), folder / "models/other.onnx")
    running = server(folder / "models").wait_ready("other")
    pids = {process.pid for process in own_processes(running)}
    all_mutants, states = list(mutants(seed, count)), []
    descriptors = memory = None
    for start in range(0, count, GROUP):
        group = all_mutants[start : start + GROUP]
        names = [name for name, _ in group]
        drop(folder / "models", group)
        entries = until(lambda: settled(running, names), SETTLE_S, f"{names} to settle")
        check_entries(running, entries)
        states += [entry["state"] for entry in entries.values()]
        assert value(running, "other") == 7
        assert running.fetch("/v2/health/ready")[0] == 200
        for name in names:
            (folder / "models" / f"{name}.onnx").unlink()
        until(lambda: list(index(running)) == [("other", "1")], SETTLE_S, "the mutants to go")
        until(lambda: len(processes.named(running.pid, "worker")) == 1, SETTLE_S, "their workers to end")
        if descriptors is None:
            descriptors, memory = fd_count(running), rss_bytes(running)
    assert {process.pid for process in own_processes(running)} == pids
    assert "UNAVAILABLE" in states
    until(lambda: fd_count(running) <= descriptors, SETTLE_S, "descriptors back")
    if not is_sanitized():
        until(lambda: rss_bytes(running) <= memory + MEMORY_ONCE, SETTLE_S, "memory back")
    assert sum(len(line) for line in running.err.seen) < 10000 * count
