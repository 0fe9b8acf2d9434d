"""Settings: where they come from, how mistakes are told, what a reload changes, what is written about them."""
import os
import re
import signal
import subprocess

import pytest
import yaml

from support import models
from support.server import ROOT, START_S, binary, inherited

DOCUMENT = ROOT / "docs" / "config.md"


def run(*arguments, environment=None, status=0):
    """A command of the program that ends by itself: what it wrote, after its status was checked."""
    done = subprocess.run(
        [binary(), *map(str, arguments)], env={**inherited(), **(environment or {})}, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=START_S,
    )
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def refused(*arguments, environment=None):
    """The sentence with which serve refuses; it starts nothing."""
    return run("serve", *arguments, environment=environment, status=2).stderr.strip()


def config(*arguments, environment=None):
    """What `tensord config` prints: the values, and the source of each."""
    text = run("config", *arguments, environment=environment).stdout
    sources = dict(re.findall(r"^(?:# )?(\w+): .*# (.*)$", text, re.MULTILINE))
    return yaml.safe_load(text), sources


@pytest.fixture
def file(tmp_path):
    """file(text) writes a config file and returns its path."""

    def write(text):
        path = tmp_path / "tensord.yaml"
        path.write_text(text)
        return path

    return write


# ---- sources ----


def test_sources_are_told_in_order(file):
    path = file("# ours\nport: 1\ngrpc-port: 2\nmetrics_port: 3\n")
    environment = {"TENSORD_CONFIG": str(path), "TENSORD_GRPC_PORT": "20", "TENSORD_METRICS_PORT": "30"}
    values, sources = config("--metrics-port", "300", environment=environment)
    assert (values["port"], values["grpc_port"], values["metrics_port"]) == (1, 20, 300)
    assert values["host"] == "127.0.0.1"
    assert sources["port"] == f"{path}, line 2"
    assert sources["grpc_port"] == "TENSORD_GRPC_PORT"
    assert sources["metrics_port"] == "--metrics-port"
    assert sources["host"] == "default"
    assert sources["config"] == "TENSORD_CONFIG"


def test_what_config_prints_is_a_config_file(file):
    first, _ = config("--listen", "unix:/a b,127.0.0.1:1", "--server-id", 'x "y" \\ # é: z', "--load", "lazy")
    again, sources = config("--config", file(yaml.safe_dump(first)))
    assert first == again
    text = run("config", "--listen", "unix:/a b", "--server-id", 'x "y" \\ # é: z').stdout
    third, sources = config("--config", file(text))
    assert third["server_id"] == 'x "y" \\ # é: z' and third["listen"] == ["unix:/a b"]
    assert {source.split(",")[0] for source in sources.values()} == {str(file(text)), "--config"}


def test_a_server_takes_its_settings_from_the_file(server, repository, file):
    path = file("load: explicit\nserver_id: from the file\nlog_format: json\n")
    one = server(repository(add=models.add()), "--config", path)
    assert one.get("/v2")["name"] == "from the file"
    assert one.fetch("/v2/models/add/ready")[0] != 200


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("host: a\nprot: 1\n", "line 2: unknown key 'prot'; did you mean 'port'?"),
        ("port: 1\nport: 2\n", "line 2: 'port' is given twice, first in line 1"),
        ("port: many\n", "line 1: port wants a number from 0 to 65535, not 'many'"),
        ("port: 65536\n", "line 1: port wants a number from 0 to 65535, not '65536'"),
        ("load: maybe\n", "line 1: load wants one of all|explicit|lazy, not 'maybe'"),
        ("port: {a: b}\n", "line 1: 'port' must be a single value"),
        ("a: &a [1]\nb: [*a, *a]\n", "line 1: unknown key 'a'"),
        ("host: &a x\nserver_id: *a\n", "line 1: anchors and aliases are not supported"),
        ("listen: " + "[" * 20000 + "\n", "line 1: 'listen' must be a list of single values"),
        ("port: [\n", "line 1: 'port' must be a single value"),
        ("\tport: 1\n", "line 1: a tab where YAML wants spaces"),
        ('host: "\\e[2J"\n', "line 1: host holds a control character"),
        ("#" * 65537, "longer than 65536 bytes"),
    ],
)
def test_a_wrong_file_is_told_before_anything_starts(file, tmp_path, text, sentence):
    path = file(text)
    assert refused(tmp_path, "--config", path) == f"tensord serve: {path}: {sentence}"


def test_a_file_that_cannot_be_read(tmp_path):
    assert refused(tmp_path, "--config", "/nowhere") == "tensord serve: /nowhere: No such file or directory"
    assert refused(tmp_path, "--config", tmp_path) == f"tensord serve: {tmp_path}: not a regular file"
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path, "--config", tmp_path / "pipe").endswith("not a regular file")


def test_mistakes_in_flags_and_variables(tmp_path):
    assert refused("--prot", "1") == "tensord serve: unknown option '--prot'; did you mean '--port'?"
    assert refused("--port=x").endswith("--port wants a number from 0 to 65535, not 'x'")
    assert refused(tmp_path, environment={"TENSORD_PORT": "x"}) == (
        "tensord serve: TENSORD_PORT wants a number from 0 to 65535, not 'x'")
    done = run("config", environment={"TENSORD_PROT": "1", "TENSORD_SERVICE_HOST": "10.0.0.1"})
    assert done.stderr == "tensord config: no setting is called TENSORD_PROT; did you mean TENSORD_PORT?\n"


def test_a_server_warns_of_unknown_variables_and_knows_those_of_kubernetes(server, repository):
    environment = {
        "TENSORD_LOG_LEVELL": "debug", "TENSORD_PORT": "tcp://10.0.0.1:8000",
        "TENSORD_PORT_8000_TCP_ADDR": "10.0.0.1", "TENSORD_SERVICE_PORT": "8000",
    }
    one = server(repository(), environment=environment)
    assert one.err.wait_for("no setting is called TENSORD_LOG_LEVELL; did you mean TENSORD_LOG_LEVEL", START_S)
    one.stop()
    assert one.err.text().count("no setting is called") == 1


# ---- limits ----


def test_limits_are_in_force(server, repository):
    one = server(repository(add=models.add()), "--max-target-bytes", "300", "--max-header-fields", "8",
                 "--max-header-bytes", "2048")
    assert one.fetch("/v2/" + "x" * 290)[0] == 404
    assert one.fetch("/v2/" + "x" * 300)[0] == 414
    assert one.fetch("/v2", headers={f"x-{i}": "1" for i in range(9)})[0] == 431
    assert one.fetch("/v2", headers={"x": "1" * 2048})[0] == 431
    assert one.fetch("/v2")[0] == 200


# ---- reload ----


def reload(one, sentence):
    """SIGHUP, after which the server says that."""
    one.process.send_signal(signal.SIGHUP)
    assert one.err.wait_for(sentence, START_S), one.err.text()


def test_a_reload_changes_what_can_be_changed(server, repository, file):
    path = file("max_target_bytes: 300\nload: all\n")
    one = server(repository(add=models.add()), "--config", path)
    one.wait_ready("add")
    assert one.fetch("/v2/" + "x" * 300)[0] == 414
    file("load: lazy\nmax_target_bytes: 400\n")
    reload(one, r"max_target_bytes is now 400 \(.*tensord.yaml, line 2\)")
    assert one.fetch("/v2/" + "x" * 300)[0] == 404
    assert re.search(r"load stays all until a restart, then it will be lazy \(.*, line 1\)", one.err.text())
    one.wait_ready("add")


def test_a_reload_turns_counting_off(server, repository, file):
    def counted():
        assert one.fetch("/v2")[0] == 200
        return int(re.search(r'tensord_http_requests_total{protocol="http/1.1",code="2xx"} (\d+)', one.fetch("/metrics")[2].decode())[1])

    one = server(repository(), "--config", file("measure: true\n"))
    assert counted() < counted()
    file("measure: false\n")
    reload(one, "measure is now false")
    assert counted() == counted()


def test_a_reload_of_a_wrong_file_changes_nothing(server, repository, file):
    path = file("max_target_bytes: 300\n")
    one = server(repository(), "--config", path)
    file("max_target_bytes: 400\nprot: 1\n")
    reload(one, "nothing has changed: .*line 2: unknown key 'prot'; did you mean 'port'")
    assert one.fetch("/v2/" + "x" * 300)[0] == 414
    path.unlink()
    reload(one, "nothing has changed: .*No such file")
    file("max_target_bytes: 400\n")
    reload(one, "max_target_bytes is now 400")
    assert one.fetch("/v2/" + "x" * 300)[0] == 404


def test_a_file_behind_a_changing_link_is_reloaded(server, repository, tmp_path):
    """As Kubernetes keeps a ConfigMap: a link to a link to a folder, which is swapped."""
    folder = tmp_path / "config"
    for name, text in (("..1", "max_target_bytes: 300\n"), ("..2", "max_target_bytes: 400\n")):
        (folder / name).mkdir(parents=True)
        (folder / name / "tensord.yaml").write_text(text)
    (folder / "..data").symlink_to("..1")
    (folder / "tensord.yaml").symlink_to("..data/tensord.yaml")
    one = server(repository(), "--config", folder / "tensord.yaml")
    (folder / "..new").symlink_to("..2")
    (folder / "..new").rename(folder / "..data")
    reload(one, "max_target_bytes is now 400")


def test_a_file_behind_a_link_to_another_folder_is_reloaded(server, repository, file, tmp_path):
    path = file("max_target_bytes: 300\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.yaml").symlink_to(path)
    one = server(repository(), "--config", tmp_path / "elsewhere" / "link.yaml")
    file("max_target_bytes: 400\n")
    reload(one, "max_target_bytes is now 400")


def test_without_a_file_a_reload_is_harmless(server, repository):
    one = server(repository(add=models.add()))
    one.wait_ready("add")
    reload(one, "reloading the settings")
    one.wait_ready("add")


# ---- the state folder ----


def test_without_a_path_the_state_folder_is_served(server, tmp_path):
    state = tmp_path / "deep" / "state"
    one = server(None, "--state-dir", state)
    assert oct(state.stat().st_mode & 0o777) == oct((state / "models").stat().st_mode & 0o777) == "0o700"
    models.save(models.add(), state / "models" / "add.onnx")
    one.wait_ready("add")


def test_where_the_state_folder_is(server, tmp_path):
    one = server(None)
    assert (one.state / "tensord" / "models").is_dir()
    service = tmp_path / "service"
    server(None, environment={"STATE_DIRECTORY": f"{service}:/nowhere"})
    assert (service / "models").is_dir()
    home = tmp_path / "home"
    server(None, environment={"XDG_STATE_HOME": "", "HOME": str(home)})
    assert (home / ".local" / "state" / "tensord" / "models").is_dir()


def test_a_state_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    sentence = refused("--state-dir", tmp_path / "file" / "state")
    assert sentence == f"tensord serve: cannot make the folder '{tmp_path}/file/state': Not a directory"


# ---- names and loading ----


def test_the_one_model_can_be_renamed(server, repository):
    one = server(repository(add=models.add()), "--model-name", "iris")
    one.wait_ready("iris")
    assert one.fetch("/v2/models/add")[0] == 404


def test_several_models_keep_their_names(server, repository):
    one = server(repository(add=models.add(), other=models.add()), "--model-name", "iris")
    one.wait_ready("add")
    one.wait_ready("other")
    assert one.err.wait_for("--model-name is for one model", START_S)


def test_named_models_are_loaded_at_the_start(server, repository):
    folder = repository(add=models.add(), other=models.add())
    one = server(folder, "--load", "explicit", "--load-model", "add", "--load-model", "missing")
    one.wait_ready("add")
    assert one.fetch("/v2/models/other/ready")[0] != 200
    assert one.err.wait_for("there is no model 'missing'", START_S)
    every = server(folder, "--load", "explicit", "--load-model", "*")
    every.wait_ready("add")
    every.wait_ready("other")
