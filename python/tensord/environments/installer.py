"""The commands that make an environment: those of uv, else of venv and pip."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any, Callable, Optional

from tensord.environments.errors import EnvironmentFault

Run = Callable[..., None]  # run(command, writable=…, cwd=…)

# What an installer says when it found a package, but only as source.
NEEDS_BUILDING = (
    "--no-build",
    "building from source is disabled",
    "Building source distributions is disabled",
    "no usable wheels",
    "No matching distribution found",
)


def find_uv(named: str) -> Optional[str]:
    """uv's program: as named, on PATH, or of this interpreter's package; None: there is none."""
    if named:
        if not os.access(named, os.X_OK):
            raise EnvironmentFault(f"--uv: '{named}' cannot be executed")
        return named
    beside = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
    return shutil.which("uv") or shutil.which("uv", path=os.pathsep.join(beside))


class Installer:
    """Makes one environment in a folder of the builder's.

    `scratch` takes the files that commands read; `cache` is shared by all builds that run no code.
    """

    def __init__(self, run: Run, folder: Path, cache: Path, say: Callable[[str], None]) -> None:
        self.run = run
        self.target = folder / "environment"
        self.scratch = folder / "scratch"
        self.own_cache = folder / "cache"
        self.cache = cache
        self.say = say

    def create(self, python: str) -> None:
        """An empty environment on that interpreter."""
        raise NotImplementedError

    def install(self, arguments: list[str], build: bool) -> None:
        """Installs by the arguments of a requirements file; build: packages' code may run."""
        raise NotImplementedError

    def export(self) -> list[str]:
        """Turns uv.lock, in the scratch folder, into arguments of `install`."""
        raise EnvironmentFault("uv.lock needs uv, which is not installed on the server")

    def python(self) -> str:
        """The environment's interpreter."""
        return str(self.target / "bin" / "python")

    def install_recipe(self, recipe: dict[str, Any]) -> None:
        """Installs what the recipe asks for: wheels if that will do, else with building."""
        arguments = self._arguments(recipe)
        try:
            self._install_all(arguments, recipe, build=False)
        except EnvironmentFault as fault:
            if not any(text in str(fault.__cause__ or fault) for text in NEEDS_BUILDING):
                raise
            self.say("a package has no wheel for this machine: trying to build it")
            self._install_all(arguments, recipe, build=True)

    def _arguments(self, recipe: dict[str, Any]) -> list[str]:
        if recipe["kind"] == "uv-lock":
            self._write_files(recipe)
            return self.export()
        if recipe["kind"] == "pylock":
            self._write_files(recipe)
            return ["-r", str(self.scratch / "pylock.toml")]
        lines = recipe["options"] + recipe["requirements"] + recipe["extra"]
        arguments = ["-r", self._write("requirements.txt", lines)]
        if recipe["constraints"]:
            arguments += ["-c", self._write("constraints.txt", recipe["constraints"])]
        return arguments

    def _install_all(self, arguments: list[str], recipe: dict[str, Any], build: bool) -> None:
        self.install(arguments, build)
        if recipe["kind"] != "requirements" and not self._has(recipe["extra"]):
            self.install(recipe["extra"], build=False)

    def _has(self, names: list[str]) -> bool:
        packages = next(self.target.glob("lib/python3*/site-packages"), self.target)
        return all((packages / name).exists() for name in names)

    def _write_files(self, recipe: dict[str, Any]) -> None:
        for name, text in recipe["files"].items():
            (self.scratch / Path(name).name).write_text(text, encoding="utf-8")

    def _write(self, name: str, lines: list[str]) -> str:
        path = self.scratch / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)


class Uv(Installer):
    """By uv."""

    def __init__(self, uv: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.uv = uv

    def _call(self, words: list[str], cache: Path) -> None:
        command = [self.uv, "--no-progress", "--color", "never", "--cache-dir", str(cache), *words]
        self.run(command, writable=[cache], cwd=self.scratch)

    def create(self, python: str) -> None:
        self._call(
            ["venv", "-q", "--no-project", "--relocatable", "--python", python, str(self.target)],
            self.cache,
        )

    def install(self, arguments: list[str], build: bool) -> None:
        words = ["pip", "install", "--python", self.python(), "--link-mode", "copy"]
        words += ["--compile-bytecode"] + ([] if build else ["--no-build"])
        self._call(words + arguments, self.own_cache if build else self.cache)

    def export(self) -> list[str]:
        target = self.scratch / "locked.txt"
        words = ["export", "--frozen", "--no-emit-project", "--no-dev", "--no-header"]
        words += ["--python", self.python(), "--project", str(self.scratch), "-q"]
        self._call([*words, "--output-file", str(target)], self.cache)
        return ["--no-deps", "-r", str(target)]


class Pip(Installer):
    """By venv and pip, where there is no uv."""

    def create(self, python: str) -> None:
        self.say("uv is not installed: making the environment with pip, which takes longer")
        self.run([python, "-I", "-m", "venv", str(self.target)], writable=[], cwd=self.scratch)

    def install(self, arguments: list[str], build: bool) -> None:
        cache = self.own_cache if build else self.cache / "pip"
        cache.mkdir(exist_ok=True)
        words = ["-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        words += ["--no-color", "--progress-bar", "off", "--cache-dir", str(cache)]
        words += [] if build else ["--only-binary", ":all:"]
        self.run([self.python(), *words, *arguments], writable=[cache], cwd=self.scratch)
