"""The Python package deploying: against a push API in memory that fails as it is told, and functions as source."""
import hashlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

import tensord
from support.push_server import PushServer
from support.server import ROOT
from tensord.client import content, progress, push, sources, upload
from tensord.client.progress import Progress


class Seen(Progress):
    """Keeps what would be shown."""

    def __init__(self):
        self.stages, self.lines, self.shares, self.end = [], [], [], None

    def stage(self, text):
        self.stages.append(text)

    def update(self, share, note=""):
        self.shares.append(share)

    def line(self, text):
        self.lines.append(text)

    def finish(self, text):
        self.end = text

    def abandon(self):
        self.end = "abandoned"


@pytest.fixture
def pushes(monkeypatch):
    monkeypatch.setattr(push.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(upload.Cancel, "wait", lambda cancel, pause_s: None)
    started = PushServer()
    yield started
    started.stop()


@pytest.fixture
def gpu(pushes):
    with tensord.connect(pushes.url, retries=0) as connected:
        yield connected


@pytest.fixture
def folder(tmp_path):
    """A model's folder, with what is no part of it."""
    root = tmp_path / "sentiment"
    for name, data in {"model.py": b"x = 1\n", "weights/a.bin": os.urandom(100), "weights/b.bin": b"", "same.py": b"x = 1\n",
                       ".git/config": b"", "__pycache__/model.pyc": b"", "model.py~": b""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def digest(data):
    return hashlib.sha256(data).hexdigest()


# ---- what is pushed ----


def test_a_folder(gpu, pushes, folder):
    seen = Seen()
    model = gpu.push(folder, progress=seen)
    assert model.name == "sentiment"
    files = {one["path"]: one for one in pushes.models["sentiment"]["files"]}
    assert sorted(files) == ["model.py", "same.py", "weights/a.bin", "weights/b.bin"]
    assert files["model.py"] == {"path": "model.py", "sha256": digest(b"x = 1\n"), "size": 6}
    assert pushes.uploaded == 106  # equal files go over once
    assert seen.end == f"sentiment version 1 is ready at {pushes.url}"
    assert "loading sentiment" in seen.stages and max(filter(None, seen.shares)) == 1


def test_a_file_and_its_requirements(gpu, pushes, tmp_path):
    (tmp_path / "classify.py").write_text("def classify(x): return x\n")
    gpu.push(tmp_path / "classify.py", requirements=["torch", "numpy<2"], version=3)
    pushed = pushes.models["classify"]
    assert pushed["version"] == 3
    assert [one["path"] for one in pushed["files"]] == ["classify.py", "requirements.txt"]
    assert pushes.blobs[pushed["files"][1]["sha256"]] == b"torch\nnumpy<2\n"


def test_only_what_is_missing_is_uploaded(gpu, pushes, folder):
    gpu.push(folder)
    before = pushes.uploaded
    gpu.push(folder, "again")
    assert pushes.uploaded == before
    (folder / "new.txt").write_text("12345")
    gpu.push(folder)
    assert pushes.uploaded == before + 5


def test_links_to_files_are_followed_and_loops_are_not(folder, tmp_path):
    (tmp_path / "blob").write_bytes(b"data")
    (folder / "linked.bin").symlink_to(tmp_path / "blob")
    (folder / "weights" / "up").symlink_to(folder)
    paths = [one.path for one in content.collect(folder)]
    assert "linked.bin" in paths and len(paths) == 5
    (folder / "broken").symlink_to(tmp_path / "nothing")
    with pytest.raises(tensord.DeployError, match="a link to nothing"):
        content.collect(folder)


def test_what_is_not_there(gpu, tmp_path):
    with pytest.raises(tensord.DeployError, match="no file or folder"):
        gpu.push(tmp_path / "nothing.onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(tensord.DeployError, match="holds no file"):
        gpu.push(tmp_path / "empty")
    (tmp_path / "empty" / "a.onnx").write_bytes(b"x")
    with pytest.raises(tensord.DeployError, match=r"for packages give a list: \['torch'\]"):
        gpu.push(tmp_path / "empty", requirements="torch")


# ---- uploads that fail ----


def big(tmp_path, size=200_000):
    path = tmp_path / "big.onnx"
    path.write_bytes(os.urandom(size))
    return path


def test_a_cut_upload_goes_on_where_it_stopped(gpu, pushes, tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "_PIECE_BYTES", 64_000)
    path = big(tmp_path)
    pushes.cut_after = 10_000
    gpu.push(path)
    assert pushes.uploaded == 200_000
    assert pushes.blobs[digest(path.read_bytes())] == path.read_bytes()


def test_an_upload_outlives_a_restart_of_the_server(gpu, pushes, tmp_path):
    path = big(tmp_path)
    pushes.cut_after, pushes.away = 10_000, 1
    gpu.push(path)
    assert pushes.uploaded == 200_000 and not pushes.away


@pytest.fixture
def interruptible():
    """What is started in the background ignores interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_an_upload_that_the_server_does_not_take(gpu, pushes, tmp_path, interruptible):
    pushes.stalled = began, goes_on = threading.Event(), threading.Event()
    path = big(tmp_path)

    def interrupt():
        began.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    rescue = threading.Timer(60, goes_on.set)  # so that a failure does not hang
    rescue.start()
    with pytest.raises(KeyboardInterrupt):
        gpu.push(path)
    assert not goes_on.is_set()
    goes_on.set()
    rescue.cancel()
    thread.join()


def test_a_push_that_was_given_up_goes_on_where_it_stopped(gpu, pushes, tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "_PIECE_BYTES", 64_000)
    monkeypatch.setattr(upload, "_TRIES", 0)
    path, seen = big(tmp_path), Seen()
    pushes.cut_after = 10_000
    with pytest.raises(tensord.ConnectionFailed):
        gpu.push(path, progress=seen)
    assert seen.end == "abandoned" and not pushes.models
    seen = Seen()
    gpu.push(path, progress=seen)
    assert pushes.uploaded == 200_000
    assert any("going on at 10" in stage for stage in seen.stages)


def test_another_push_of_the_same_bytes_goes_on_meanwhile(gpu, pushes, tmp_path, monkeypatch):
    path = big(tmp_path)
    data = path.read_bytes()
    ask = push.missing_of

    def overtaken(transport, files):
        missing = ask(transport, files)
        pushes.partial[digest(data)] = data[:150_000]  # which is not what was just said
        return missing

    monkeypatch.setattr(push, "missing_of", overtaken)
    gpu.push(path)
    assert pushes.uploaded == 50_000


def test_a_file_that_changes_meanwhile(gpu, pushes, tmp_path, monkeypatch):
    path = big(tmp_path)
    ask = push.missing_of

    def changed(transport, files):
        path.write_bytes(os.urandom(200_000))
        return ask(transport, files)

    monkeypatch.setattr(push, "missing_of", changed)
    with pytest.raises(tensord.DeployError, match="'big.onnx' has changed while it was uploaded; push again"):
        gpu.push(path)
    assert not pushes.models


def test_a_file_that_is_cut_meanwhile(gpu, pushes, tmp_path, monkeypatch):
    path = big(tmp_path)
    ask = push.missing_of

    def cut(transport, files):
        path.write_bytes(b"short")
        return ask(transport, files)

    monkeypatch.setattr(push, "missing_of", cut)
    with pytest.raises(tensord.DeployError, match="has changed while it was uploaded"):
        gpu.push(path)


def test_blobs_that_were_cleared_away_are_sent_again(gpu, pushes, folder):
    pushes.forget = True
    gpu.push(folder)
    assert pushes.uploaded == 212 and "sentiment" in pushes.models


def test_two_pushes_of_one_name(gpu, pushes, folder):
    pushes.busy = 3
    gpu.push(folder)
    assert pushes.requests.count("PUT /tensord/v1/models/sentiment") == 4


def test_a_refusal_is_told(gpu, pushes, folder):
    pushes.refusal = (400, "'..' is no path")
    with pytest.raises(tensord.DeployError, match="'..' is no path"):
        gpu.push(folder)
    pushes.refusal = (403, "the token lacks the scope code")
    with pytest.raises(tensord.Unauthorized, match="the scope code"):
        gpu.push(folder)


def test_a_model_that_cannot_be_loaded(gpu, pushes, folder):
    pushes.events = [{"state": "loading", "reason": "building environment"}, {"log": " Collecting torch"},
                     {"state": "loading", "reason": "building environment: Collecting torch"},
                     {"state": "failed", "reason": "no such package: torchh"}]
    seen = Seen()
    with pytest.raises(tensord.DeployError, match="cannot be loaded: no such package: torchh"):
        gpu.push(folder, progress=seen)
    assert seen.lines == [" Collecting torch"] and seen.stages[-2:] == ["sentiment: building environment"] * 2


def test_a_server_that_ends_meanwhile(gpu, pushes, folder):
    pushes.events = [{"state": "loading", "reason": ""}]
    with pytest.raises(tensord.ConnectionFailed, match="the server ended while 'sentiment' was loading"):
        gpu.push(folder)


def test_a_server_without_a_push_api(folder, server, repository):
    import http.server
    import threading

    class Nothing(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = b'{"error":"Not Found"}'
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as old:
        threading.Thread(target=old.serve_forever, daemon=True).start()
        with pytest.raises(tensord.DeployError, match="takes no models"):
            tensord.connect(f"http://127.0.0.1:{old.server_port}").push(folder)
        old.shutdown()


# ---- the other way ----


def test_pull(gpu, pushes, folder, tmp_path):
    gpu.push(folder)
    pulled = gpu.pull("sentiment", tmp_path / "here")
    assert {path.relative_to(pulled).as_posix(): path.read_bytes() for path in pulled.rglob("*") if path.is_file()} == {
        one.path: one.open().read() for one in content.collect(folder)}
    with pytest.raises(tensord.DeployError, match="is there already"):
        gpu.pull("sentiment", tmp_path / "here")
    with pytest.raises(tensord.DeployError, match="unknown model"):
        gpu.pull("nobody", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_pull_that_goes_wrong_leaves_nothing(gpu, pushes, folder, tmp_path):
    gpu.push(folder)
    pushes.blobs[digest(b"x = 1\n")] = b"evil!\n"
    with pytest.raises(tensord.DeployError, match="did not arrive whole"):
        gpu.pull("sentiment", tmp_path / "here")
    pushes.models["sentiment"]["files"][0]["path"] = "../evil"
    with pytest.raises(tensord.Error, match="no path within a folder"):
        gpu.pull("sentiment", tmp_path / "here")
    assert [path.name for path in tmp_path.iterdir()] == ["sentiment"]


def test_rm(gpu, pushes, folder):
    gpu.push(folder)
    gpu.remove("sentiment")
    assert not pushes.models
    with pytest.raises(tensord.DeployError, match="unknown model"):
        gpu.remove("sentiment")


# ---- functions ----


def shipped(tmp_path, source, lazy=False, **beside):
    """model.py for the function `f` of a program, or the error; `beside` are modules that lie beside it."""
    program = f"""{"from __future__ import annotations" if lazy else ""}
import sys
sys.path.insert(0, {str(tmp_path)!r})
from tensord.client.ship import ship
from tensord.errors import DeployError
class Gpu:
    def deploy(self, *_, **__): return lambda f: f
gpu = Gpu()
{textwrap.dedent(source)}
try:
    for one in ship(f):
        print(f"== {{one.path}}")
        print(one.open().read().decode(), end="")
except DeployError as error:
    print("refused:", error)
"""
    for name, text in beside.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True,
                          env={"PYTHONPATH": str(ROOT / "python")})
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(text, call, folder):
    """What the shipped model.py gives for a call of f, in a process that knows nothing else."""
    (folder / "there").mkdir()
    (folder / "there" / "model.py").write_text(text.split("== model.py\n")[1].split("\n== ")[0])
    script = "import types, sys\nsys.modules['tensord'] = types.SimpleNamespace(model=lambda f: f)\n"
    script += f"sys.path.insert(0, {str(folder / 'there')!r})\nfrom model import f\nprint({call})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + text
    return done.stdout.strip()


def test_a_function_alone(tmp_path):
    text = shipped(tmp_path, """
        @gpu.deploy(
            requirements=["x"],
        )
        def f(x):
            return x + 1  # as it was written
    """)
    assert "@tensord.model\ndef f(x):\n    return x + 1  # as it was written\n" in text and "gpu" not in text
    assert '"""f, as it was deployed from program.py."""' in text
    assert run(text, "f(1)", tmp_path) == "2"


def test_what_a_function_uses_comes_along(tmp_path):
    text = shipped(tmp_path, """
        import collections.abc, json as j, xml.etree.ElementTree, math, os.path as osp, re
        import numpy as np
        from dataclasses import dataclass
        from typing import Optional
        MEAN = np.array([0.5, 1.5], np.float32)
        WORDS = {"a": [1, float("inf")], "b": (1,), "c": None, "d": {2}}
        PATTERN = re.compile(r"a+")
        Vector = list[float]
        UNUSED = open("/dev/null")
        @dataclass
        class Point:
            x: float
            y: Optional[int] = None
            def far(self) -> float:
                return twice(self.x)
        def twice(x): return 2 * x
        def factorial(n): return 1 if n < 2 else n * factorial(n - 1)
        def make():
            inner = 7
            @gpu.deploy(name="other")
            def f(x: Vector, y: "collections.abc.Sequence" = ()) -> float:
                def nested():
                    return WORDS["a"][1] > 1 and PATTERN.match("aa") is not None
                UNUSED = [j.loads("1"), osp.basename("b/c"), math.pi > 3, xml.etree.ElementTree.XML("<a/>")]
                return Point(MEAN[1]).far() + factorial(3) + inner + nested() + len(UNUSED)
            return f
        f = make()
    """, lazy=True)
    assert text.split("\n")[2] == "from __future__ import annotations"
    assert "UNUSED =" not in text.split("@tensord.model")[0]
    assert run(text, "float(f([]))", tmp_path) == "21.0"


def test_modules_that_lie_beside_the_program_come_along(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("from package.deep import value\n")
    (tmp_path / "package" / "deep.py").write_text("value = 5\n")
    text = shipped(tmp_path, """
        import helper, package
        from package.deep import value
        def f(x): return helper.g(x) + package.value + value
    """, helper="def g(x): return x")
    assert "== helper.py\ndef g(x): return x" in text and "== package/deep.py" in text and "== package/__init__.py" in text
    assert "import helper\nimport package\nimport tensord" in text


def test_the_module_of_the_function_does_not_come_along(tmp_path):
    """It may be the very program that deploys."""
    text = shipped(tmp_path, "from work import f", work="""
        LIMIT = 3
        raise_when_imported_there = 1
        def helper(x): return x + LIMIT
        def f(x): return helper(x)
    """)
    assert "== work.py" not in text and run(text, "f(1)", tmp_path) == "4"


def test_a_class(tmp_path):
    text = shipped(tmp_path, """
        STEP = 2
        def start(): return 1
        class f:
            def __init__(self):
                self.state = start()
            def predict(self, x: int) -> int:
                self.state += STEP * x
                return self.state
    """)
    assert "@tensord.model\nclass f:" in text and run(text, "f().predict(2)", tmp_path) == "5"


def test_a_notebook(tmp_path):
    """Cells belong to no file, and the latest counts."""
    text = shipped(tmp_path, """
        import linecache
        del __file__
        def cell(number, text):
            name = f"<ipython-input-{number}>"
            linecache.cache[name] = len(text), None, text.splitlines(True), name
            exec(compile(text, name, "exec"), globals())
        cell(1, "import re\\nWORD = re.compile('a')\\nclass Pair:\\n    old = 1")
        cell(2, "from dataclasses import dataclass\\n@dataclass\\nclass Pair:\\n    x: int")
        cell(3, "@gpu.deploy()\\nclass f:\\n    def predict(self, x):\\n        return Pair(x).x + len(WORD.findall('aba'))")
    """)
    assert "old" not in text and '"""f, as it was deployed."""' in text
    assert run(text, "f().predict(1)", tmp_path) == "3"


def test_other_decorators_stay(tmp_path):
    text = shipped(tmp_path, """
        import functools
        @gpu.deploy()
        @functools.lru_cache
        def f(x): return x
    """)
    assert "@tensord.model\n@functools.lru_cache\ndef f" in text


@pytest.mark.parametrize("source, sentence", [
    ("import socket\nwire = socket.socket()\ndef f(x): return wire", "'f' uses 'wire', a socket.socket, which cannot be sent"),
    ("wire = open('/dev/null')\ndef g(): return wire\ndef f(x): return g()", "'g' uses 'wire'"),
    ("f = lambda x: x", "a lambda cannot be sent"),
    ("g = lambda x: x\ndef f(x): return g(x)", "a lambda cannot be sent"),
    ("f = len", "not a builtin_function"),
    ("f = 5", "not an int"),
    ("def g(x): return x\nh = g\ndef f(x): return h(x)", "uses 'g' under the name 'h'"),
    ("exec('def f(x): return x')", "the source of 'f' is not to be had"),
    ("data = 'x' * 200000\ndef f(x): return data", "is data; put it into a file"),
])
def test_what_cannot_be_shipped_is_told(tmp_path, source, sentence):
    assert "refused: " in (text := shipped(tmp_path, source)) and sentence in text


def test_a_deployed_function_is_pushed(gpu, pushes, tmp_path):
    (tmp_path / "words.txt").write_text("a b")
    with pytest.raises(tensord.DeployError, match="two files would be called 'model.py'"):
        (tmp_path / "model.py").write_text("")
        gpu.deploy(deployable, files=[tmp_path / "model.py"])
    deployed = gpu.deploy(deployable, requirements=["numpy"], name="embed", files=[tmp_path / "words.txt"])
    assert isinstance(deployed, tensord.Deployed) and deployed.__name__ == "deployable" and deployed.local([1]) == [1]
    paths = [one["path"] for one in pushes.models["embed"]["files"]]
    assert paths == ["model.py", "words.txt", "requirements.txt"]
    assert deployed.model.name == "embed"


def deployable(x: list) -> list:
    return x


# ---- what is shown ----


def test_a_terminal_is_shown_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    shown = progress.choose(terminal)
    shown.stage("uploading")
    shown.drawn_at = 0
    shown.update(0.5, "1 of 2")
    shown.line("a line\x1b[31m")
    shown.finish("done")
    text = terminal.getvalue()
    assert "\ruploading [############............] 1 of 2" in text and "  a line?[31m\n" in text and text.endswith("\rdone\n")


def test_a_log_is_shown_lines():
    log = io.StringIO()
    shown = progress.choose(log)
    for _ in range(3):
        shown.stage("loading")
        shown.update(0.5)
    shown.line("built")
    shown.finish("done")
    assert log.getvalue() == "loading\n  built\ndone\n"


def test_a_notebook_is_shown_one_output_that_changes():
    class Handle:
        def update(self, data, raw):
            displayed.append(data)

    displayed = []

    def display(data, raw, display_id):
        displayed.append(data)
        return Handle()

    shown = progress.NotebookProgress(display)
    shown.stage("loading <m>")
    shown.drawn_at = 0
    shown.update(0.25, "1 of 4")
    shown.line("a <line>")
    assert "loading &lt;m&gt; <progress max='1' value='0.250'></progress> 1 of 4" in displayed[1]["text/html"]
    assert "<pre>a &lt;line&gt;</pre>" in displayed[2]["text/html"]
    assert displayed[1]["text/plain"] == "loading <m> 1 of 4"


@pytest.mark.parametrize("size, text", [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (150_000, "150 kB"), (2.5e9, "2.5 GB")])
def test_sizes(size, text):
    assert progress.human_size(size) == text


# ---- sources ----


def test_a_repository_of_hugging_face(tmp_path, monkeypatch):
    """By the package's own function, of which this one keeps what it was asked."""
    import types

    asked = []

    def snapshot_download(repository, *, revision, allow_patterns, local_dir):
        asked.append((repository, revision, allow_patterns))
        for name in ("config.json", "onnx/model.onnx", ".cache/huggingface/x"):
            (tmp_path / local_dir / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / local_dir / name).write_text(name)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    for number, (source, name) in enumerate({"hf://me/bert": "bert", "hf://me/bert@v1/onnx/model.onnx": "model.onnx"}.items()):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        fetched = sources.fetch(source, scratch, Progress())
        assert fetched.name == name and fetched.exists() and not (scratch / "bert" / ".cache").exists()
    assert asked == [("me/bert", None, None), ("me/bert", "v1", ["onnx/model.onnx", "onnx/model.onnx/*"])]
    for source, sentence in {"hf://bert": "names no repository", "hf://me/bert/nothing": "has no 'nothing'"}.items():
        with pytest.raises(tensord.DeployError, match=sentence):
            sources.fetch(source, tmp_path / "0", Progress())


def test_what_is_a_path_and_what_a_source():
    assert sources.scheme_of("hf://a/b") == "hf" and sources.scheme_of("S3://a") == "s3"
    assert sources.scheme_of("models/a") is None and sources.scheme_of("C:\\models") is None
