"""Started as tritonserver and as mlserver are: translated, accepted, or refused with a sentence."""
import re
import subprocess

import pytest

from support import models
from support.server import START_S, binary, fetch, inherited, onnxruntime

# What both servers are like: whoever reaches them may use their models. Only said when others than this machine can.
OPEN_TO_OTHERS = ["--anonymous=infer", "--insecure=true", "--allowed-host=*"]
LOCAL = re.compile(r"--listen=(127\.|\[::1\])")

NO_TLS = "TLS on one port alone is not supported; --tls-cert and --tls-key are for all ports"
KSERVE = ["--allow-grpc=true", "--allow-http=true"]  # of its runtime; ports and folder are added


def translated_all(*command, environment=None):
    """What the command becomes: the arguments of serve, and the notes. It serves nothing that exists."""
    done = subprocess.run([binary(), *command], env={**inherited(), **(environment or {})}, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=START_S)
    assert done.returncode == 2
    *notes, serve, refusal = done.stderr.splitlines()
    assert refusal == "tensord serve: cannot read '/nowhere': No such file or directory"
    name, _, arguments = serve.partition(": as tensord serve ")
    assert name == f"tensord {command[0]}"
    return arguments.split(), [note.partition(": ")[2] for note in notes]


def translated(*command, environment=None):
    """The same without OPEN_TO_OTHERS, which must be there exactly when it listens to others."""
    arguments, notes = translated_all(*command, environment=environment)
    if any("--listen=" in argument and not LOCAL.match(argument) for argument in arguments):
        for setting in OPEN_TO_OTHERS:
            arguments.remove(setting)
    assert not set(arguments) & set(OPEN_TO_OTHERS)
    return arguments, notes


def refused(*command, environment=None):
    done = subprocess.run([binary(), *command], env={**inherited(), **(environment or {})}, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=START_S)
    assert done.returncode == 2, done.stderr
    return done.stderr.splitlines()[-1]


# ---- tritonserver ----


def test_as_kserve_starts_tritonserver():
    arguments, notes = translated("tritonserver", "--model-store=/nowhere", "--grpc-port=9000",
                                  "--http-port=8080", *KSERVE)
    assert arguments == ["--listen=0.0.0.0:8080", "--listen=0.0.0.0:9000", "--listen=0.0.0.0:8002",
                         "--load=all", "/nowhere"]
    assert not notes


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--allow-metrics=false", "--allow-http=0"], ["--listen=0.0.0.0:8001", "--load=all"]),
        (["--http-address", "127.0.0.1", "--grpc-address", "::1"],
         ["--listen=127.0.0.1:8000", "--listen=[::1]:8001", "--listen=127.0.0.1:8002", "--load=all"]),
        (["--grpc-port=8000", "--metrics-port=8000"], ["--listen=0.0.0.0:8000", "--load=all"]),
    ],
)
def test_where_tritonserver_listens(flags, expected):
    assert translated("tritonserver", "--model-repository=/nowhere", *flags)[0] == [*expected, "/nowhere"]


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--model-control-mode=poll", "--repository-poll-secs=5"], ["--rescan-ms=5000"]),
        (["--model-control-mode", "EXPLICIT", "--load-model=a", "--load-model=b"],
         ["--load-model=a", "--load-model=b", "--load=explicit"]),
        (["--id=me", "--exit-timeout-secs", "7"], ["--server-id=me", "--drain-timeout-ms=7000"]),
        (["--http-max-input-size=67108865"], ["--max-json-mib=65"]),
        (["--response-cache-byte-size=1048577"], ["--cache-memory-mib=2"]),
        (["--cache-config=local,size=104857600"], ["--cache-memory-mib=100"]),
        (["--log-verbose=1"], ["--log-level=debug"]),
        (["--log-verbose=true"], ["--log-level=debug"]),
        (["--log-verbose=0"], []),
        (["--log-info=false"], ["--log-level=warning"]),
        (["--log-info=false", "--log-warning=false"], ["--log-level=error"]),
        (["--log-info=false", "--log-verbose=2"], ["--log-level=debug"]),
        (["--allow-client-shm=true"], ["--allow-client-shm=infer"]),
        (["--sandbox=off", "--max-streams", "7"], ["--sandbox=off", "--max-streams=7"]),  # our own
    ],
)
def test_what_tritonserver_flags_become(flags, expected):
    arguments, notes = translated("tritonserver", "--model-repository=/nowhere", *flags)
    usual = {f"--listen=0.0.0.0:{port}" for port in (8000, 8001, 8002)} | {"--load=all", "/nowhere"}
    assert sorted(set(arguments) - usual) == sorted(expected)
    assert not notes


def test_flags_that_make_no_difference_are_accepted():
    flags = ["--strict-readiness=true", "--disable-auto-complete-config", "--exit-on-error", "false",
             "--allow-client-shm=false", "--pinned-memory-pool-byte-size=1", "--backend-config=a,b=c",
             "--grpc-use-ssl=0", "--log-file=/x"]
    arguments, notes = translated("tritonserver", "--model-repository=/nowhere", *flags)
    assert len(arguments) == 5
    assert [note.split(":")[0] for note in notes] == [
        "--strict-readiness", "--disable-auto-complete-config", "--exit-on-error", "--backend-config", "--log-file"]


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--allow-client-shm=maybe"], "--allow-client-shm wants true or false, not 'maybe'"),
        (["--grpc-use-ssl=true"], f"--grpc-use-ssl=true: {NO_TLS}"),
        (["--grpc-server-cert=x"], f"--grpc-server-cert: {NO_TLS}"),
        (["--http-restricted-api=model-repository:k=v"], 
         "--http-restricted-api: tokens say who may call what: tensord token create --scope, --anonymous for those without; see docs/security.md"),
        (["--grpc-header-forward-pattern=.*"], 
         "--grpc-header-forward-pattern: --forward-header NAME does so, for REST and gRPC; it takes names and patterns such as x-user-*, "
         "no regular expression"),
        (["--model-namespacing=true"], "--model-namespacing=true: model namespaces are not supported"),
        (["--cache-config=redis,host=h"], "--cache-config: redis,host=h: answers are kept in the server's own memory, "
                                          "as local,size=BYTES"),
        (["--cache-config=local,size=x"], "--cache-config wants a number, not 'x'"),
        (["--http-prot=1"], "unknown flag '--http-prot'; did you mean '--http-port'?"),
        (["--http-port=many"], "--http-port wants a port, not 'many'"),
        (["--http-port=65536"], "--http-port wants a port, not '65536'"),
        (["--http-port"], "--http-port wants a value"),
        (["--allow-http=maybe"], "--allow-http wants true or false, not 'maybe'"),
        (["--model-control-mode=some"], "--model-control-mode wants one of none|poll|explicit, not 'some'"),
        (["--repository-poll-secs=-1"], "--repository-poll-secs wants a number, not '-1'"),
        (["--model-repository=/b"], "--model-repository: one folder is served, but '/a' and '/b' are given"),
        (["--allow-http=0", "--allow-grpc=0", "--allow-metrics=0"], "no endpoint is allowed"),
        (["models"], "what is 'models'? Flags begin with --"),
    ],
)
def test_what_would_mean_something_else_is_refused(flags, sentence):
    assert refused("tritonserver", "--model-store=/a", *flags) == f"tensord tritonserver: {sentence}"


def test_a_model_repository_is_wanted():
    assert refused("tritonserver").endswith("--model-repository must be given: the folder of models")


def test_it_serves_as_tritonserver(server, repository):
    flags = [f"--model-store={repository(add=models.add())}", "--http-port=0", "--grpc-port=0", *KSERVE,
             "--allow-metrics=false", "--model-control-mode=explicit", "--load-model=*", "--onnxruntime", onnxruntime()]
    one = server(None, command=["tritonserver", *flags])
    assert one.host == "0.0.0.0"
    one.wait_ready("add")
    assert one.infer("add", {"inputs": [
        {"name": name, "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]} for name in "AB"]})[0] == 200


def test_what_is_said_of_strangers_is_kept():
    arguments, _ = translated_all("tritonserver", "--model-repository=/nowhere", "--anonymous=none", "--allowed-host=a.example")
    assert "--anonymous=none" in arguments and "--anonymous=infer" not in arguments
    assert "--allowed-host=*" not in arguments and "--insecure=true" in arguments


def test_started_so_it_lets_strangers_infer_and_no_more(server, repository):
    flags = [f"--model-store={repository(add=models.add())}", "--http-port=0", "--grpc-port=0", *KSERVE,
             "--allow-metrics=false", "--onnxruntime", onnxruntime()]
    one = server(None, command=["tritonserver", *flags]).wait_ready("add")
    asked = {"Host": "add.models.svc.cluster.local", "X-Forwarded-For": "10.0.0.1"}
    assert fetch(one.url + "/v2/models/add", headers=asked)[0] == 200
    assert fetch(one.url + "/v2/repository/models/add/unload", b"", headers=asked)[0] == 401


# ---- mlserver ----


def test_as_kserve_starts_mlserver():
    environment = {"MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel", "MLSERVER_HTTP_PORT": "8080",
                   "MLSERVER_GRPC_PORT": "9000", "MLSERVER_MODEL_NAME": "iris", "MLSERVER_MODEL_URI": "/nowhere"}
    arguments, notes = translated("mlserver", "start", environment=environment)
    assert sorted(arguments) == sorted(["--model-name=iris", "--listen=0.0.0.0:8080", "--listen=0.0.0.0:9000",
                                        "--listen=0.0.0.0:8082", "--load=all", "/nowhere"])
    assert not notes


def test_the_folder_of_mlserver():
    environment = {"MLSERVER_MODELS_DIR": "/elsewhere", "MLSERVER_MODEL_URI": "/other"}
    assert translated("mlserver", "start", "/nowhere", environment=environment)[0][-1] == "/nowhere"
    environment["MLSERVER_MODELS_DIR"] = "/nowhere"
    assert translated("mlserver", "start", environment=environment)[0][-1] == "/nowhere"


def test_what_mlserver_variables_become():
    environment = {"MLSERVER_HOST": "127.0.0.1", "MLSERVER_METRICS_PORT": "8080", "MLSERVER_DEBUG": "true",
                   "MLSERVER_LOAD_MODELS_AT_STARTUP": "false", "MLSERVER_SERVER_NAME": "me",
                   "MLSERVER_GRPC_MAX_MESSAGE_LENGTH": "1048577", "MLSERVER_WHATEVER": "1",
                   "MLSERVER_PARALLEL_WORKERS": "4", "MLSERVER_ROOT_PATH": ""}
    arguments, notes = translated("mlserver", "start", "/nowhere", environment=environment)
    assert sorted(arguments) == sorted(["--server-id=me", "--max-body-mib=2", "--listen=127.0.0.1:8080",
                                        "--listen=127.0.0.1:8081", "--load=explicit", "--log-level=debug", "/nowhere"])
    assert sorted(notes) == ["MLSERVER_PARALLEL_WORKERS: each model has workers of its own",
                             "MLSERVER_WHATEVER: means nothing here"]


def test_what_mlserver_would_do_otherwise_is_refused():
    assert refused("mlserver").endswith("only 'mlserver start [FOLDER]' is understood")
    assert refused("mlserver", "build", ".").endswith("only 'mlserver start [FOLDER]' is understood")
    assert refused("mlserver", "start", "/a", environment={"MLSERVER_ROOT_PATH": "/x"}).endswith(
        "MLSERVER_ROOT_PATH: paths of URLs cannot be moved")
    assert refused("mlserver", "start", "/a", environment={"MLSERVER_KAFKA_ENABLED": "true"}).endswith(
        "MLSERVER_KAFKA_ENABLED=true: Kafka is not supported")


def test_it_serves_as_mlserver(server, repository):
    folder = repository(add=models.add())
    (folder / "settings.json").write_text("{}")
    environment = {"MLSERVER_HTTP_PORT": "0", "MLSERVER_GRPC_PORT": "0", "MLSERVER_METRICS_PORT": "0",
                   "MLSERVER_MODEL_NAME": "iris", "TENSORD_ONNXRUNTIME": onnxruntime()}
    one = server(None, command=["mlserver", "start", str(folder)], environment=environment)
    one.wait_ready("iris")
    assert one.err.wait_for("settings.json: is not read", START_S)
