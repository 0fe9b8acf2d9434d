"""A hostile model tries what no model may (support/hostile_model.py): each is refused or bounded, and nobody else is hurt.

Once with namespaces as root has them, once with those of an ordinary user, once without any.
"""
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from support import models, processes
from support.python_models import ask, needs_python, tensor, write_python
from support.server import Server, is_sanitized

HOSTILE = (Path(__file__).parent / "support" / "hostile_model.py").read_text()
SCRATCH_MIB, MEMORY_MIB, PIDS = 20, 200, 100
LIMITS = f"sandbox: {{memory_mib: {MEMORY_MIB}, scratch_mib: {SCRATCH_MIB}, pids: {PIDS}}}"
BOUNDED = {"disk": SCRATCH_MIB, "descriptors": 1024, "files": 65536}  # by how much, at most
ENDED = {"memory": "MiB of memory, its limit is 200 MiB: set sandbox.memory_mib",
         "threads": "threads and processes, its limit is 100: set sandbox.pids"}
ACTIONS = sorted(set(re.findall(r'^    "(\w+)": ', HOSTILE.partition("ACTIONS = {")[2], re.M)) - {*BOUNDED, *ENDED})

pytestmark = [needs_python, pytest.mark.skipif(is_sanitized(), reason="sanitizers' builds are allowed more")]

NOBODY = 65534
ROOT = os.geteuid() == 0


def unit_filter():
    """Starts a program under the filter of our unit of systemd, which lets nobody mount."""
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, str(root / "tests/support/unit_filter.py"), str(root / "packaging/tensord.service")]
    if ROOT:
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--securebits=+noroot", *command]
    return command


CAGES = {
    "as the user that runs the tests": {"starter": [], "layers": "namespaces (root, processes, network"},
    "as an ordinary user": {"starter": ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"],
                            "layers": "namespaces (root, processes, network, users)"},
    "without namespaces": {"starter": unit_filter(), "layers": None},
}


def open_to_all(folder):
    """Lets every user read what is there, and come there."""
    for path in (folder, *Path(folder).rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def models_folder(base):
    folder = base / "models"
    write_python(folder, "hostile", HOSTILE, LIMITS)
    write_python(folder, "good", "def predict(x: int) -> int:\n    return x + 1\n")
    models.save(models.identity(), folder / "echo.onnx")
    return folder


@pytest.fixture(scope="module")
def open_folder():
    """One that an ordinary user may enter: pytest closes those that it makes whenever it starts once more beside."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module", params=CAGES, ids=str)
def cage(request, open_folder):
    chosen = CAGES[request.param]
    if chosen["starter"] and not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    if "user" in request.param and "ordinary" in request.param and not ROOT:
        pytest.skip("whoever runs the tests is one")
    if "ordinary" in request.param and not os.path.exists("/usr/bin/python3"):
        pytest.skip("there is no Python that everybody may execute")
    base = Path(tempfile.mkdtemp(dir=open_folder))
    base.chmod(0o755)
    folder, state = models_folder(base), base / "state"
    state.mkdir()
    open_to_all(folder)
    if "ordinary" in request.param:
        os.chown(state, NOBODY, NOBODY)
    python = ["--python", "/usr/bin/python3"] if "ordinary" in request.param else []  # which everybody may execute
    started = Server(folder, *python, state=state, starter=chosen["starter"])
    started.folder = folder
    try:
        for name in ("hostile", "good", "echo"):
            processes.until(lambda name=name: started.fetch(f"/v2/models/{name}/ready")[0] == 200, 60,
                            f"{name} ready; {reason(started, name)}")
    except Exception:
        started.kill()
        raise
    said = processes.until(lambda: re.search(r"sandbox of workers: (.*)", log(started)), 60, "what is said of it")[1]
    if chosen["layers"]:
        assert chosen["layers"] in said, said
    else:
        assert "namespaces" not in said and "workers cannot have namespaces" in log(started)
    yield started
    check_others(started)
    started.stop()


def log(served):
    return served.err.text() + served.out.text()


def pid_of(served, model):
    [worker] = served.workers(model)
    return worker.pid


def front_pid(served):
    return served.front().pid


def check_others(served):
    assert ask(served, "good", tensor("x", "INT64", [1], [1]))[1]["output"]["data"] == [2]


def try_to(served, action):
    """What became of the action: (status, answer or error)."""
    given = {"front": str(front_pid(served)), "spawner": str(served.pid), "worker": str(pid_of(served, "good")),
             "token": str(served.state_dir / "admin-token"), "tokens": str(served.state_dir / "tokens"),
             "other": str(served.folder / "good" / "model.py") if hasattr(served, "folder") else "/nowhere/model.py"}
    status, answer = ask(served, "hostile", tensor("action", "BYTES", [1], [action]), **given)
    return status, answer["output"]["data"][0] if status == 200 else answer


def reason(served, name):
    rows = json.loads(served.fetch("/v2/repository/index", method="POST", data=b"{}")[2])
    return next((row.get("reason", "") for row in rows if row["name"] == name), "")


@pytest.mark.parametrize("action", ACTIONS)
def test_what_a_model_may_not_do(cage, action):
    before = front_pid(cage), pid_of(cage, "good"), pid_of(cage, "hostile")
    status, answer = try_to(cage, action)
    assert status == 200 and answer.startswith("refused "), answer
    assert (front_pid(cage), pid_of(cage, "good"), pid_of(cage, "hostile")) == before
    check_others(cage)


@pytest.mark.parametrize("action", BOUNDED)
def test_what_a_model_gets_a_bounded_part_of(cage, action):
    before = pid_of(cage, "hostile")
    status, answer = try_to(cage, action)
    if status == 503 and action == "files":  # on disk, where no file system bounds it
        assert "it wrote more files to its scratch folder than its limit is" in answer
        processes.until(lambda: try_to(cage, "nothing") == (200, "done"), 60, "the next worker")
        return
    assert status == 200 and answer.startswith("got "), answer
    assert 0 < int(answer.removeprefix("got ")) <= BOUNDED[action]
    assert pid_of(cage, "hostile") == before
    check_others(cage)


@pytest.mark.parametrize("action, why", ENDED.items())
def test_a_model_that_takes_without_end_is_ended_and_told_why(cage, action, why):
    before = front_pid(cage), pid_of(cage, "good")
    status, answer = try_to(cage, action)
    print(answer)
    assert status == 503 and why in answer, answer
    assert (front_pid(cage), pid_of(cage, "good")) == before
    check_others(cage)
    processes.until(lambda: try_to(cage, "nothing") == (200, "done"), 60, f"the next worker; {reason(cage, 'hostile')}")


def test_every_action_is_judged(cage):
    assert sorted([*ACTIONS, *BOUNDED, *ENDED]) == sorted(try_to(cage, "list")[1].split())


def test_nothing_of_it_is_left(cage):
    """What it wrote where it may is gone with it."""
    worker = psutil.Process(pid_of(cage, "hostile"))
    scratch = Path(f"/proc/{worker.pid}/root") / "tmp"
    if psutil.Process(worker.pid).ppid() and scratch.exists():
        assert not list(Path("/tmp").glob("evil*")) and not Path("/var/tmp/evil").exists()


# ---- code that comes before the model's own: a package's, a pickle's, a package's that is built ----

PTH = """
import os, pathlib, sys
def tried(what):
    try: what()
    except OSError as error: return f"{type(error).__name__}"
    return "done"
def connect():
    import socket; socket.socket()
told = [tried(lambda: open("/etc/shadow")), tried(connect), tried(os.fork), tried(lambda: os.kill(-1, 9)),
        tried(lambda: os.mkdir("/etc/evil")), str(int(open("/proc/self/status").read().partition("CapEff:")[2].split()[0], 16))]
os.environ["TOLD"] = " ".join(told)
"""


def test_packages_are_caged_before_the_model_is_loaded(server, tmp_path):
    """An environment runs code of its packages when its interpreter starts."""
    import venv

    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "first_of_all.py").write_text(PTH)
    (packages / "first_of_all.pth").write_text("import first_of_all\n")
    write_python(tmp_path / "models", "first", "import os\ndef predict(x: int) -> str:\n    return os.environ.get('TOLD', 'nothing')\n",
                 f"python: {{interpreter: {environment}}}")
    started = server(tmp_path / "models").wait_ready("first")
    told = ask(started, "first", tensor("x", "INT64", [1], [1]))[1]["output"]["data"][0].split()
    assert len(told) == 6 and set(told[:5]) <= {"PermissionError", "FileNotFoundError", "OSError"}, told
    assert int(told[5]) & ~(1 << 2 | 1 << 28) == 0, "no capability but to read and to look whether files are whole"


def pickle_that(expression):
    """A pickle whose loading evaluates the expression."""
    return b"cbuiltins\neval\n(V" + expression.encode() + b"\ntR."


EXPRESSIONS = {
    "token": "open(FOLDER + '/tensord/admin-token').read()",
    "any": "[one.read_text() for one in __import__('pathlib').Path(FOLDER).rglob('admin-token')][0]",
    "socket": "__import__('socket').socket()",
    "signal": "__import__('os').kill(__import__('os').getppid(), 9)",
    "ptrace": "__import__('os').close(min(0, __import__('ctypes').CDLL(None).ptrace(16, __import__('os').getppid(), 0, 0)) - 1)",
    "process": "__import__('os').fork()",
    "program": "__import__('os').execv('/bin/true', ['true'])",
    "shell": "__import__('os').close(-__import__('os').system('true') or -1)",
}
REFUSALS = ("PermissionError", "FileNotFoundError", "IndexError", "Bad file descriptor", "OSError")


def test_malicious_pickles(server, tmp_path):
    """Each is loaded in a worker's cage, fails there, and nothing else does."""
    folder, state = tmp_path / "models", tmp_path / "state"
    folder.mkdir()
    for name, expression in EXPRESSIONS.items():
        (folder / f"{name}.pkl").write_bytes(pickle_that(expression.replace("FOLDER", repr(str(state)))))
    write_python(folder, "good", "def predict(x: int) -> int:\n    return x + 1\n")
    started = server(folder, environment={"XDG_STATE_HOME": str(state)}).wait_ready("good")
    for name in EXPRESSIONS:
        processes.until(lambda name=name: any(one in reason(started, name) for one in REFUSALS), 300,
                        f"the refusal of {name}; {reason(started, name)}")
    check_others(started)
