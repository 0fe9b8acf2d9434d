"""Workers that run on processors, and have a GPU, of their own."""
import contextlib
import json
import os
import re
from pathlib import Path

import pytest

from support import managed, models
from support.processes import name, until
from support.python_models import needs_python, write_python
from support.repositories import index, settle, write_config
from support.server import is_sanitized

PATIENCE_S = 60
MOST_EXECUTIONS = 4  # of an ONNX model, that run at once
CPUS = sorted(os.sched_getaffinity(0))
needs_two = pytest.mark.skipif(len(CPUS) < 2, reason="one processor cannot be shared out")


def put(folder, config, model="m"):
    """An ONNX model with that config."""
    made = write_config(folder, model, **config)
    models.save(models.matmul(), made / "model.onnx")
    settle(made)
    return folder


def row(server, model="m"):
    return next(one for one in json.loads(server.fetch("/tensord/v1/models")[2])["models"] if one["name"] == model)


def workers_of(server, count, model="m", but=None):
    """The processes of so many workers, once they serve; `but` is none of them any more."""
    def look():
        found[:] = server.workers(model)
        return len(found) == count and but not in found and row(server, model)["workers_ready"] == count

    found = []
    until(look, PATIENCE_S, f"{count} workers")
    return found


def allowed(process):
    """Cpus_allowed_list of each of its threads, which are all the same."""
    lists = set()
    for task in os.listdir(f"/proc/{process.pid}/task"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            lists.update(re.findall(r"^Cpus_allowed_list:\s+(\S+)", Path(f"/proc/{process.pid}/task/{task}/status").read_text(), re.M))
    assert len(lists) == 1
    return lists.pop()


def why(server, model="m"):
    """The reason for which it does not serve, once there is one."""
    until(lambda: index(server).get((model, "1"), {}).get("state") == "UNAVAILABLE", PATIENCE_S, "the model to be refused")
    return index(server)[(model, "1")]["reason"]


@needs_two
@pytest.mark.parametrize("cpuset", ["all", f"{CPUS[0]},{CPUS[1]}", {"each": [str(CPUS[0]), str(CPUS[1])]}])
def test_each_worker_has_its_own(server, tmp_path, cpuset):
    started = server(put(tmp_path, {"workers": 2, "cpuset": cpuset})).wait_ready("m")
    sets = sorted(allowed(worker) for worker in workers_of(started, 2))
    assert row(started)["cpuset"] == sets
    if cpuset == "all" and len(CPUS) > 2:
        assert len(set(sets)) == 2
    else:
        assert sets == [str(CPUS[0]), str(CPUS[1])]


@needs_two
def test_one_that_comes_back_has_the_set_of_the_one_that_went(server, tmp_path):
    started = server(put(tmp_path, {"workers": 2, "cpuset": f"{CPUS[0]},{CPUS[1]}"})).wait_ready("m")
    for _ in range(3):
        victim, other = workers_of(started, 2)
        lost, kept = allowed(victim), allowed(other)
        victim.kill()
        [fresh] = [worker for worker in workers_of(started, 2, but=victim) if worker != other]
        assert (allowed(fresh), allowed(other)) == (lost, kept)


def test_a_single_worker_and_without_a_sandbox(server, tmp_path):
    last = CPUS[-1]
    started = server(put(tmp_path, {"cpuset": last}), "--sandbox", "off").wait_ready("m")
    [worker] = workers_of(started, 1)
    assert allowed(worker) == str(last)


def test_without_a_set_a_worker_runs_where_the_server_may(server, tmp_path):
    started = server(put(tmp_path, {})).wait_ready("m")
    [worker] = workers_of(started, 1)
    assert worker.cpu_affinity() == CPUS and row(started)["cpuset"] == []


def test_a_managed_servers_program_has_the_set_too(server, tmp_path):
    managed.write_server(tmp_path, "m")
    config = tmp_path / "m" / "model.yaml"
    config.write_text(json.dumps({**json.loads(config.read_text()), "cpuset": str(CPUS[-1])}))
    settle(tmp_path / "m")
    started = server(tmp_path).wait_ready("m")
    programs = [process for process in started.descendants() if "python" in (name(process) or "")]
    assert programs and all(allowed(process) == str(CPUS[-1]) for process in programs)


@needs_two
@pytest.mark.skipif(is_sanitized(), reason="sanitizers have threads of their own")
def test_engines_take_as_many_threads_as_their_worker_has_processors(server, tmp_path):
    """A worker has a thread that reads, one for each execution that may run, and those that help it, one fewer than processors.
    Of workers that share all of them each has its part of the helpers; one that has a processor for itself has none."""
    put(tmp_path, {}, "alone")
    put(tmp_path, {"workers": len(CPUS)}, "several")
    put(tmp_path, {"workers": len(CPUS), "cpuset": "all"}, "placed")
    started = server(tmp_path)
    executions = min(len(CPUS), MOST_EXECUTIONS)
    for model, count, threads in (("alone", 1, executions + len(CPUS)), ("several", len(CPUS), executions + 1),
                                  ("placed", len(CPUS), 2)):
        started.wait_ready(model)
        workers = workers_of(started, count, model)
        until(lambda: {worker.num_threads() for worker in workers} == {threads}, PATIENCE_S,  # noqa: B023
              f"{threads} threads in each worker of '{model}'")


@pytest.mark.parametrize("config, reason", [
    ({"cpuset": "1023"}, "'cpuset' names processor 1023, but the server has "),
    ({"cpuset": f"{CPUS[0]}", "workers": 2}, "'cpuset' has 1 processors for 2 workers: name one for each at least"),
    ({"cpuset": {"each": [str(CPUS[0])] * 3}, "workers": 2}, "'cpuset.each' has 3 sets for 2 workers: list one for each"),
    ({"cpuset": "0-"}, "'cpuset' names processors, such as 0-3,8, below 1024, or 'all'; not '0-'"),
    ({"cpuset": {"each": []}}, "'cpuset' names processors, such as 0-3,8, or has a list 'each'"),
    ({"gpus": [32]}, "'gpus' lists the numbers of GPUs, 0 to 31"),
    ({"gpus": [0], "sandbox": {"gpu": [1]}}, "'gpus' excludes 'instance_group' on a GPU and 'sandbox.gpu'"),
])
def test_what_cannot_be_is_refused(server, tmp_path, config, reason):
    assert reason in why(server(put(tmp_path, config)))


SHOWN = """
    import os

    def predict(name: str) -> str:
        return f"{os.environ.get(name)} {sorted(os.sched_getaffinity(0))}"
"""


@needs_python
def test_a_model_in_python_sees_its_gpu_and_its_processors(server, tmp_path):
    write_python(tmp_path, "m", SHOWN, f"workers: 2\ngpus: [0, 3]\ncpuset: {{each: ['{CPUS[0]}', '{CPUS[-1]}']}}\n")
    settle(tmp_path / "m")
    started = server(tmp_path).wait_ready("m")
    environments = [dict(item.split("=", 1) for item in open(f"/proc/{worker.pid}/environ").read().split("\0") if item)
                    for worker in workers_of(started, 2)]
    assert sorted(row["CUDA_VISIBLE_DEVICES"] for row in environments) == ["0", "3"]
    assert {row["CUDA_DEVICE_ORDER"] for row in environments} == {"PCI_BUS_ID"}
    status, body = started.infer("m", {"inputs": [
        {"name": "name", "datatype": "BYTES", "shape": [1], "data": ["CUDA_VISIBLE_DEVICES"]}]})
    assert status == 200 and body["outputs"][0]["data"][0] in (f"0 [{CPUS[0]}]", f"3 [{CPUS[-1]}]")
