"""The builder: makes environments, and removes those that nobody needs any more.

A process of its own, with the network, its own folders and nothing of any model:

    python -I -S -B build.py FD

On the socket FD come one JSON value in a line, for a build a second one, the plan's answer, and
then the end:

    {"environments": a folder, "uv": a path or "", "timeout_s": …, "disk_mib": …}
    {"environments": a folder, "collect": {HASH: [models], …}, "unused_s": …, "cache_mib": …}
    {"environments": a folder, "collect": {HASH: [models], …}, "only": HASH}      that one, if no model refers to it
    {"environments": a folder, "list": {HASH: [models], …}}

Lines go back: "+" and what happens, any number of times, then "=" and the answer as JSON, {} when
all went well or {"error": a sentence}; {"removed": [HASH, …]} of one that collects, and of one that
lists {"environments": [{"hash": …, "bytes": …, "made": …, "used": …, "origin": …, "python": …, "models": […]}, …]}. One that collects says "-" when no environment will go any
more: plans, which say what is there, wait until then.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # As it was named: links in between are not followed.
    sys.path.insert(0, str(Path(os.path.abspath(__file__)).parents[2]))

from tensord.environments import cage, pythons  # noqa: E402
from tensord.environments.errors import EnvironmentFault  # noqa: E402
from tensord.environments.installer import Installer, Pip, Uv, find_uv  # noqa: E402
from tensord.environments.plan import read_all, write_all  # noqa: E402
from tensord.environments.recipe import recipe_hash  # noqa: E402
from tensord.environments.store import Store, folder_bytes, is_name  # noqa: E402

LINE_BYTES = 1000
KEPT_LINES = 200
ERROR_CHARACTERS = 440
TICK_S, PAUSE_S = 0.5, 0.02
MIB = 1 << 20


class Teller:
    """Tells lines to whoever waits for the environment; one that does not listen is no failure."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __call__(self, line: str) -> None:
        self._write(b"+" + line.encode("utf-8", "replace")[:LINE_BYTES])

    def all_are_gone(self) -> None:
        """No environment will be removed any more."""
        self._write(b"-")

    def _write(self, line: bytes) -> None:
        try:
            write_all(self.fd, line + b"\n")
        except OSError:
            pass


def summary(lines: list[str]) -> str:
    """What the installer says of its failure, in a sentence or a few."""
    starts = [i for i, line in enumerate(lines) if line.lower().startswith(("error", "  ×", "×"))]
    kept = lines[starts[0] if starts else -6 :]
    text = " ".join(" ".join(kept).split())
    if len(text) > ERROR_CHARACTERS:
        text = "…" + text[-ERROR_CHARACTERS:]
    return text


class Runner:
    """Runs commands within what a build may take of time and disk."""

    def __init__(self, folder: Path, tell: Teller, timeout_s: float, disk_mib: int) -> None:
        self.folder = folder
        self.tell = tell
        self.timeout_s = timeout_s
        self.due = time.monotonic() + timeout_s
        self.disk_bytes = disk_mib * MIB
        self.next_look = 0.0

    def check(self) -> None:
        """EnvironmentFault when a bound is passed."""
        now = time.monotonic()
        if now > self.due:
            raise EnvironmentFault(f"it took longer than {self.timeout_s:g} s (--build-timeout-s)")
        if now < self.next_look:
            return
        size = folder_bytes(self.folder)
        self.next_look = time.monotonic() + max(1.0, 10 * (time.monotonic() - now))
        if size > self.disk_bytes:
            raise EnvironmentFault(
                f"it takes more than {self.disk_bytes // MIB} MiB of disk (--environment-max-mib)"
            )

    def __call__(self, command: list[str], writable: list[Path], cwd: Path) -> None:
        """Runs the command; EnvironmentFault with its own words when it fails."""
        environment = {
            **os.environ,
            "TMPDIR": str(self.folder / "scratch"),
            "UV_PYTHON_DOWNLOADS": "never",
            "PYTHONNOUSERSITE": "1",
            "PIP_USER": "0",
        }
        environment.pop("VIRTUAL_ENV", None)
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            preexec_fn=cage.entering([self.folder, Path("/dev/null"), *writable]),
        ) as process:
            try:
                lines = self.follow(process)
            finally:
                cage.end_children()
        if process.returncode:
            raise EnvironmentFault(summary(lines) or "the installer failed") from RuntimeError(
                "\n".join(lines)
            )
        self.next_look = 0.0
        self.check()

    def follow(self, process: subprocess.Popen[bytes]) -> list[str]:
        """Tells the lines that the command says until it ends; returns the last of them."""
        lines: list[str] = []
        rest = b""
        pipe = process.stdout.fileno()
        os.set_blocking(pipe, False)
        while True:
            ended = process.poll() is not None
            select.select([pipe], [], [], 0 if ended else TICK_S)
            data = self.read(pipe)
            *whole, rest = (rest + data)[-MIB:].split(b"\n")
            for line in whole:
                self.take(line, lines)
            if ended and not data:
                break
            if not data:
                time.sleep(PAUSE_S)
            self.check()
        self.take(rest, lines)
        return lines

    def read(self, pipe: int) -> bytes:
        """What is there, which may be nothing."""
        try:
            return os.read(pipe, 1 << 16)
        except BlockingIOError:
            return b""

    def take(self, line: bytes, lines: list[str]) -> None:
        """One line of a command."""
        text = line.decode("utf-8", "replace").rstrip()
        if text.strip():
            text = text.replace(f"{self.folder}{os.sep}", "")
            self.tell(text)
            lines.append(text)
            del lines[:-KEPT_LINES]


# ---- making one ----


def _fix_scripts(made: Path, place: Path) -> None:
    """Scripts name the interpreter by its path; it will be another."""
    for path in (made / "bin").iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        if data[:2] == b"#!" and os.fsencode(made) in data:
            path.write_bytes(data.replace(os.fsencode(made), os.fsencode(place)))


def _check(made: Path, base: str) -> None:
    """What was installed must not have changed which interpreter this is, and where it lies: the
    server gives its workers leave to read there. Nor may it lead this process elsewhere."""
    for folder in (made, made / "bin"):
        if folder.is_symlink() or not folder.is_dir():
            raise EnvironmentFault("a package replaced a folder of the environment")
    program = Path(os.path.realpath(made / "bin" / "python"))
    if program != Path(os.path.realpath(base)):
        raise EnvironmentFault("a package replaced the interpreter")
    text = (made / "pyvenv.cfg").read_text(encoding="utf-8")
    homes = [line.partition("=")[2].strip() for line in text.splitlines() if line[:4] == "home"]
    if (made / "pyvenv.cfg").is_symlink() or len(homes) != 1:
        raise EnvironmentFault("a package replaced the interpreter")
    if not program.samefile(Path(homes[0]) / program.name):
        raise EnvironmentFault("a package replaced the interpreter")


def _make(
    store: Store, folder: Path, name: str, plan: dict[str, Any], question: dict[str, Any], tell: Teller
) -> None:
    recipe = plan["recipe"]
    run = Runner(folder, tell, question["timeout_s"], question["disk_mib"])
    base = pythons.find(recipe["python"]) if recipe["python"] else sys._base_executable
    uv = find_uv(question.get("uv") or "")
    arguments = (run, folder, store.cache, tell)
    installer: Installer = Uv(uv, *arguments) if uv else Pip(*arguments)
    for inner in (installer.scratch, installer.own_cache):
        inner.mkdir()
    installer.create(base)
    installer.install_recipe(recipe)
    _check(installer.target, base)
    _fix_scripts(installer.target, store.path / name)
    store.put(
        name,
        installer.target,
        {"origin": plan.get("origin", ""), "python": base, "bytes": folder_bytes(installer.target)},
    )


def build(question: dict[str, Any], plan: dict[str, Any], tell: Teller) -> None:
    """Makes the environment of a plan; EnvironmentFault says why there is none."""
    name, recipe = plan.get("hash"), plan.get("recipe")
    if not is_name(name) or recipe_hash(recipe) != name:
        raise EnvironmentFault("the plan is not sound")
    store = Store(Path(question["environments"]))
    store.clear()
    if store.has(name):
        store.touch(name)
        return
    tell(f"building from {plan.get('origin', 'its requirements')}")
    started = time.monotonic()
    with store.making(name) as folder, store.using_cache():
        _make(store, folder, name, plan, question, tell)
    tell(f"built in {time.monotonic() - started:.1f} s")


def collect(question: dict[str, Any], tell: Teller) -> dict[str, Any]:
    """Removes environments that no model refers to, and a cache that has become too large."""
    store = Store(Path(question["environments"]))
    if only := question.get("only"):
        removed = [store.remove(only, question["collect"])]
    else:
        removed = store.collect(question["collect"], question["unused_s"])
    for name in removed:
        tell(f"removed the environment {name}, which no model uses")
    tell.all_are_gone()
    store.clear()
    if "cache_mib" in question and store.trim_cache(question["cache_mib"] * MIB):
        tell("emptied the installer's cache")
    return {"removed": removed}


def work(question: dict[str, Any], plan: dict[str, Any], tell: Teller) -> dict[str, Any]:
    """Does what is asked for; returns the answer."""
    try:
        if "list" in question:
            return {"environments": Store(Path(question["environments"])).list(question["list"])}
        if "collect" in question:
            return collect(question, tell)
        build(question, plan, tell)
    except EnvironmentFault as error:
        return {"error": str(error)}
    except OSError as error:
        name = os.path.basename(str(error.filename or ""))
        return {"error": f"{name}: {error.strerror}" if name else str(error.strerror or error)}
    return {}


def main(fd: int) -> int:
    """Does what the socket asks for; returns the exit status."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    cage.adopt_orphans()
    question, plan = ([json.loads(line) for line in read_all(fd).splitlines()] + [{}])[:2]
    reply = work(question, plan, Teller(fd))
    write_all(fd, b"=" + json.dumps(reply).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
