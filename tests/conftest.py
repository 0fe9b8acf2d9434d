"""The fixtures of the wire tests."""
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "python")]

from support import models  # noqa: E402
from support.server import Server  # noqa: E402
from support.victim import Victim  # noqa: E402


@pytest.fixture
def server(tmp_path_factory, request):
    """server(path, "--load", "explicit", …) starts a server; each is stopped, and checked, at the
    end. One that a test has stopped or killed itself is left alone."""
    started = []

    def start(path, *arguments, **options):
        started.append(Server(path, *arguments, state=tmp_path_factory.mktemp("state"), **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.returncode is None:
            one.stop()


@pytest.fixture
def repository(tmp_path):
    """repository(add=model, …) saves models as NAME.onnx into a folder and returns the folder."""
    folder = tmp_path / "models"
    folder.mkdir()

    def fill(**named):
        for name, made in named.items():
            models.save(made, folder / f"{name}.onnx")
        return folder

    return fill


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    """One server for all the bad input of a file."""
    started = Victim(tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("state"))
    yield started
    started.stop()
