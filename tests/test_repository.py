"""Models are dropped in, changed, removed, loaded and unloaded."""
import json
import shutil
import subprocess
import threading

from support import models, processes
from support.processes import until
from support.repositories import index, one, request, tensor_config, value, write_config, write_model
from support.server import binary


def test_a_dropped_file_is_served_and_a_removed_one_is_not(server, repository):
    folder = repository(first=models.constant(1))
    running = server(folder).wait_ready("first")
    models.save(models.constant(2), folder / "second.onnx")
    running.wait_ready("second")
    assert value(running, "second") == 2
    (folder / "second.onnx").unlink()
    until(lambda: one(running, "second")[0] == 404, 30, "the model to go")
    assert value(running, "first") == 1


def test_models_that_go_take_no_other_with_them(server, tmp_path):
    """Failed ones are gone at once, running ones when their workers are."""
    for number in range(20):
        engine = "none" if number % 3 == 0 else "identity"
        write_config(tmp_path, f"m{number}", backend=engine, input=[tensor_config("x")], output=[tensor_config("y")])
    names = [f"m{number}" for number in range(20)]
    running = server(tmp_path)
    for name in names:
        until(lambda: index(running).get((name, "1"), {}).get("state") in ("READY", "UNAVAILABLE"), 60)
    going = {name for number, name in enumerate(names) if number % 3 == 0 or number == 1}
    pids = {process.pid for process in processes.named(running.pid, "worker")}
    for name in going:
        shutil.rmtree(tmp_path / name)
    until(lambda: {name for name, _ in index(running)} == set(names) - going, 60)
    assert {process.pid for process in processes.named(running.pid, "worker")} < pids
    assert len(processes.named(running.pid, "worker")) == 12


def test_two_models_of_one_name_are_told(server, repository):
    """One is served; that the other is not stands in the log and in `tensord ls`, until one of them goes."""
    folder = repository(good=models.constant(1))
    models.save(models.constant(2), folder / "good/1/model.onnx")
    running = server(folder).wait_ready("good")
    said = "another file or folder of this name and version is left out"
    assert running.err.wait_for(said, 60)
    listed = subprocess.run([binary(), "ls", "--to", running.url, "--token", running.admin_token], capture_output=True, text=True)
    assert said in listed.stdout
    assert value(running, "good") in (1, 2)
    (folder / "good.onnx").unlink()
    until(lambda: not index(running)["good", "1"].get("reason"), 60, "the other's end")
    assert value(running, "good") == 2


def test_a_file_that_is_copied_slowly_waits(server, repository):
    folder = repository(first=models.constant(1))
    running = server(folder).wait_ready("first")
    whole = models.constant(3).SerializeToString()
    with open(folder / "slow.onnx", "wb") as file:
        file.write(whole[:20])
        file.flush()
        until(lambda: ("slow", "1") in index(running), 60, "the file to be seen")
        assert index(running)["slow", "1"]["state"] == "LOADING"
        file.write(whole[20:])
    running.wait_ready("slow")
    assert value(running, "slow") == 3


def test_replacing_a_model_under_load_fails_no_request(server, repository):
    folder = repository(m=models.constant(1))
    running = server(folder).wait_ready("m")
    seen, failures, stop = [], [], threading.Event()

    def client():
        while not stop.is_set():
            status, body = one(running, "m")
            (seen if status == 200 else failures).append(body["outputs"][0]["data"][0] if status == 200 else body)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    until(lambda: seen, 60, "the first answer")
    for number in (2, 3):
        models.save(models.constant(number), folder / "m.onnx")
        until(lambda: seen and seen[-1] == number, 60, f"version {number}")
    stop.set()
    for thread in clients:
        thread.join(60)
    assert not failures
    assert set(seen) == {1, 2, 3}


def test_tritons_layout_with_versions(server, tmp_path):
    for version in (1, 3):
        models.save(models.constant(version), tmp_path / "repo/m" / str(version) / "model.onnx")
    (tmp_path / "repo/m/config.pbtxt").write_text('name: "m" platform: "onnxruntime_onnx"')
    running = server(tmp_path / "repo").wait_ready("m")
    until(lambda: all(index(running)["m", version]["state"] == "READY" for version in "13"), 60)
    assert value(running, "m") == 3
    status, body = running.infer("m/versions/1", {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1], "data": [0]}]})
    assert status == 200 and body["model_version"] == "1" and body["outputs"][0]["data"] == [1]
    assert running.get("/v2/models/m")["versions"] == ["1", "3"]


def test_load_and_unload_by_the_api(server, repository):
    running = server(repository(m=models.constant(1)), "--load", "explicit")
    until(lambda: ("m", "1") in index(running), 60)
    assert index(running)["m", "1"]["state"] == "UNAVAILABLE"
    assert one(running, "m")[0] == 503
    assert running.fetch("/v2/repository/models/m/load", b"", method="POST")[0] == 200
    assert value(running, "m") == 1
    assert running.fetch("/v2/repository/models/m/unload", b"", method="POST")[0] == 200
    until(lambda: index(running)["m", "1"]["reason"] == "unloaded", 60)
    assert one(running, "m")[0] == 503
    assert running.fetch("/v2/repository/models/nope/load", b"", method="POST")[0] == 400


def test_a_load_right_after_the_files_came(server, repository, tmp_path):
    folder = repository()
    running = server(folder, "--load", "explicit")
    for turn in range(5):
        models.save(models.constant(turn), tmp_path / "m.onnx")
        shutil.move(tmp_path / "m.onnx", folder / "m.onnx")
        assert running.fetch("/v2/repository/models/m/load", b"{}")[0] == 200
        assert value(running, "m") == turn


def test_lazy_models_tell_their_schema_and_wake_on_a_request(server, repository):
    running = server(repository(m=models.constant(1)), "--load", "lazy").wait_ready("m")
    entry = index(running)["m", "1"]
    assert (entry["state"], entry["reason"]) == ("READY", "asleep")
    assert running.get("/v2/models/m")["inputs"][0]["name"] == "X"
    assert value(running, "m") == 1


def test_mistakes_are_shown_and_hurt_only_themselves(server, repository):
    folder = repository(good=models.constant(1), strange=models.missing_operator())
    (folder / "cut.onnx").write_bytes(models.matmul().SerializeToString()[:60])
    write_model(folder, "typo", "identity")
    (folder / "typo/model.yaml").write_text("backend: identity\nmax_bach_size: 3\n")
    running = server(folder).wait_ready("good")
    until(lambda: all(index(running)[name, "1"]["state"] == "UNAVAILABLE" for name in ("cut", "strange", "typo")), 60)
    reasons = {name: index(running)[name, "1"]["reason"] for name in ("cut", "strange", "typo")}
    assert "did you mean 'max_batch_size'?" in reasons["typo"]
    assert "NoSuchOperator" in reasons["strange"] or "nowhere" in reasons["strange"]
    assert reasons["cut"]
    assert not any(str(folder) in reason for reason in reasons.values())
    listed = subprocess.run([binary(), "ls", "--to", running.url], capture_output=True, text=True, check=True, timeout=30)
    for reason in reasons.values():
        assert reason in listed.stdout
    assert running.fetch("/v2/health/ready")[0] == 200
    assert value(running, "good") == 1


def test_the_list_of_models(server, tmp_path):
    """In order of names and versions, each with what there is to say of it; or as JSON."""
    for name, engine in (("zebra", "identity"), ("ant", "identity"), ("broken", "nope")):
        write_config(tmp_path, name, backend=engine, input=[tensor_config("x")], output=[tensor_config("y")])
    for version in (10, 9):
        (tmp_path / f"ant/{version}").mkdir()
    running = server(tmp_path).wait_ready("zebra").wait_ready("ant")
    until(lambda: index(running)["broken", "1"]["state"] == "UNAVAILABLE", 60)
    until(lambda: len(index(running)) == 4 and all(entry["state"] != "LOADING" for entry in index(running).values()), 60)

    def ls(*arguments):
        command = [binary(), "ls", "--to", running.url, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    head, *lines = ls().stdout.splitlines()
    assert head.split() == ["MODEL", "VERSION", "STATE", "ENGINE", "NOTE"]
    assert [line.split()[:3] for line in lines] == [["ant", "9", "READY"], ["ant", "10", "READY"],
                                                    ["broken", "1", "UNAVAILABLE"], ["zebra", "1", "READY"]]
    assert all(line.index(line.split()[2]) == head.index("STATE") for line in lines)
    assert lines[2].endswith("there is no engine 'nope'; there are: chaos, identity, onnx")
    assert {entry["name"] for entry in json.loads(ls("--json").stdout)} == {"ant", "broken", "zebra"}
    assert ls("--nope").returncode == 2


def test_a_request_that_comes_while_the_model_loads_waits(server, tmp_path):
    write_model(tmp_path / "m", "slow", "chaos", "INT32", {"load": "slow"})
    running = server(tmp_path / "m")
    until(lambda: ("slow", "1") in index(running), 60)
    status, body = running.infer("slow", request([5], datatype="INT32"))
    assert status == 200, body
    assert body["outputs"][0]["data"] == [5]
