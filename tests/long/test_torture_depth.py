"""Start, load, unload and the worker's own calls: the Nth of each kind fails, for every N."""
import errno
import signal

import pytest

from support import processes
from support.repositories import write_model
from support.server import Server
from support.torture import FAULTS, Control
from support.tortured import INFER, LOAD, OPTIONS, RECOVER_S, STEPS, UNLOAD, Tortured, is_error
from support.victim import is_sanitized

IDS = [f"{call} {errno.errorcode[error]}" for call, error in FAULTS]
NOT_STARTED = {1, 2, 127}  # the exit status of a server that could not be started; 127 is the dynamic linker's
ABORTED = 128 + signal.SIGABRT
# libuv ends the process when its pipe for signals cannot be made, or used, which happens to no pipe that was made.
ABORTS = {("front", "pipe"), ("front", "read"), ("front", "write")}


class Starting(Tortured):
    """A server that is tortured from its first moment; status says how it ended, None while it runs."""

    def __init__(self, folder, state, role, fault, *arguments):
        self.status, self.text, self.control = None, "", Control(state / "control")
        self.control.arm(*fault)
        starting = self

        class Watched(Server):
            def kill(self):
                starting.status = self.process.wait(RECOVER_S)

        try:
            self.server = Watched(folder, *OPTIONS, *arguments, state=state, environment=self.control.environment(role))
        except RuntimeError as error:
            self.text = str(error)
            assert self.status is not None

    def wait_for_end_or_answer(self):
        if self.status is None:
            processes.until(self.ended_or_infers, RECOVER_S, "an end or an answer")

    def ended_or_infers(self):
        self.status = self.server.process.poll()
        if self.status is not None:
            self.server.err.join()
            self.text = self.server.err.text()
        return self.status is not None or self.infers()

    def was_refused(self, role, call):
        """It ended as one that cannot start, and said why."""
        expected = {ABORTED, *NOT_STARTED} if (role, call) in ABORTS else NOT_STARTED
        return self.status in expected and self.text.strip()


@pytest.mark.parametrize("role", ["serve", "front"])
@pytest.mark.parametrize("call, error", FAULTS, ids=IDS)
def test_a_failed_start_says_so_and_a_started_server_serves(tmp_path, role, call, error):
    if is_sanitized() and (role, error) == ("front", errno.ENOENT):
        pytest.skip("LeakSanitizer needs a path that the sandbox leaves out when it is not there")
    folder = write_model(tmp_path / "models", "echo", "identity")
    for nth in range(1, 5000):
        tortured = Starting(folder, tmp_path, role, (call, nth, error))
        tortured.wait_for_end_or_answer()
        _, failed = tortured.control.disarm()
        if tortured.status is not None:
            assert tortured.was_refused(role, call), (nth, tortured.status, tortured.text)
            continue
        processes.until(tortured.infers, RECOVER_S, f"recovery ({nth})")
        tortured.server.stop()
        if not failed:
            return
    raise AssertionError("no end")


@pytest.fixture(scope="module", params=["front", "worker", "serve"])
def tortured(request, tmp_path_factory):
    arguments = ["--sandbox", "off"] if request.param == "worker" else []  # it must map the control page
    made = Tortured(tmp_path_factory.mktemp("served") / "models", tmp_path_factory.mktemp("state"), request.param,
                    *arguments)
    made.role = request.param
    yield made
    made.server.stop()


@pytest.mark.parametrize("call, error", FAULTS, ids=IDS)
def test_a_failed_call_while_loading_is_told_and_the_next_load_works(tortured, call, error):
    def cycle(server):
        """Unloads, loads, infers."""
        answers = [UNLOAD(server), LOAD(server), INFER(server)]
        return next((answer for answer in answers if is_error(answer)), answers[-1])

    tortured.survives(cycle, call, error)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("run_length", [1, 20])
@pytest.mark.parametrize("call, error", FAULTS, ids=IDS)
def test_failed_calls_are_an_error_or_nothing(tortured, call, error, run_length, name):
    """Also when several fail in a row."""
    tortured.survives(STEPS[name], call, error, run_length)
