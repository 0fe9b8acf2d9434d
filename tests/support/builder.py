"""Plays the server for the builder of environments: asks it as the front does."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "python/tensord/environments"

# Takes uv's place: makes an environment in no time, and installs nothing, but does what UV_PLAY
# says instead.
# By the path of its folder: what leads there over links, a cage of its own does not show.
FAKE_UV = f"""#!{Path(sys.executable).parent.resolve() / Path(sys.executable).name}
import os, subprocess, sys, time
play = os.environ.get("UV_PLAY", "")
arguments = sys.argv[1:]
if "venv" in arguments:
    base = arguments[arguments.index("--python") + 1]
    os.makedirs(os.path.join(arguments[-1], "bin"))
    os.symlink(base, os.path.join(arguments[-1], "bin/python"))
    with open(os.path.join(arguments[-1], "pyvenv.cfg"), "w") as file:
        file.write("home = " + os.path.dirname(base) + "\\n")
    print("made")
    sys.exit(0)
target = os.path.dirname(os.path.dirname(arguments[arguments.index("--python") + 1]))
print("installing", flush=True)
exec(play)
"""


class Asked:
    """A builder or plan that runs; `lines` come as they are told, `answer` ends it."""

    def __init__(self, script, question, **environment):
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", SCRIPTS / script, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **environment},
            start_new_session=True,
        )
        theirs.close()
        ours.sendall(question.encode())
        ours.shutdown(socket.SHUT_WR)
        self.stream = ours.makefile(encoding="utf-8")
        ours.close()
        self.lines = []

    def read(self):
        """The next line, with its mark."""
        return self.stream.readline().rstrip("\n")

    def answer(self):
        """The answer; `lines` holds what was told before it."""
        for line in self.stream:
            if line.startswith("="):
                assert self.process.wait(timeout=30) == 0
                self.stream.close()
                return json.loads(line[1:])
            if line[0] == "+":
                self.lines.append(line[1:].rstrip("\n"))
        raise AssertionError(f"no answer; status {self.process.wait(timeout=30)}")


class Builder:
    """Environments in a folder of the test's."""

    def __init__(self, folder):
        self.folder = folder
        self.environments = folder / "environments"
        self.environments.mkdir()
        self.uv = folder / "uv"
        self.uv.write_text(FAKE_UV)
        self.uv.chmod(0o755)

    def plan(self, **files):
        """The plan of a model with these files; "_" stands for a dot."""
        model = self.folder / "model"
        model.mkdir(exist_ok=True)
        for name, text in files.items():
            (model / name.replace("_", ".")).write_text(text)
        question = {"path": str(model), "root": "", "environments": str(self.environments)}
        return Asked("plan.py", json.dumps(question)).answer()

    def start(self, plan, play="", uv=None, timeout_s=60, disk_mib=1024, **environment):
        """Starts a build, with the fake uv unless one is named."""
        question = {
            "environments": str(self.environments),
            "uv": str(self.uv) if uv is None else uv,
            "timeout_s": timeout_s,
            "disk_mib": disk_mib,
        }
        text = json.dumps(question) + "\n" + json.dumps(plan)
        return Asked("build.py", text, UV_PLAY=play, **environment)

    def collect(self, used, unused_s=0, cache_mib=1024):
        """Collects, but what is used."""
        question = {
            "environments": str(self.environments),
            "collect": {name: ["a model"] for name in used},
            "unused_s": unused_s,
            "cache_mib": cache_mib,
        }
        asked = Asked("build.py", json.dumps(question))
        assert set(asked.answer()) == {"removed"}
        return asked.lines

    def left(self):
        """What lies in the folder beside environments that are whole."""
        keep = {"cache", "users.json"}
        names = {path.name for path in self.environments.iterdir()} - keep
        return {name for name in names if len(name) != 32 and not name.endswith(".used")}
