"""Where the server listens: ports, unix sockets, sockets that systemd hands over."""
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support import processes
from support.repositories import request, write_model
from support.server import PORTS, START_S, STOP_S, binary, fetch

ACTIVATE = Path(__file__).parent / "support" / "activate.py"
LIVE = "/v2/health/live"
TCP, UNIX = re.compile(r"listening on (http://[\d.]+:\d+)"), re.compile(r"listening on unix:(\S+)")


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "models", "echo", "identity")


@pytest.fixture
def free_port():
    """A port that nobody is given who asks for any: a socket that does not listen holds it, which keeps nobody from listening."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def curl(*arguments):
    """What curl says the status is; 0 when it reached nobody."""
    done = subprocess.run(["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", *map(str, arguments)],
                          capture_output=True, text=True, timeout=60)
    return int(done.stdout)


def refused(folder, *arguments):
    """What a server says that does not start."""
    done = subprocess.run([binary(), "serve", str(folder), *map(str, arguments)], capture_output=True, text=True,
                          timeout=START_S, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and not done.stdout, done
    [line] = done.stderr.splitlines()
    return line


# Several addresses


def test_each_address_is_listened_on(server, folder, tmp_path):
    path = tmp_path / "tensord.sock"
    served = server(folder, "--listen", f"unix:{path}", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0",
                    ports=False)
    served.wait_listening(UNIX)
    urls = [served.out.wait_for(TCP, START_S).group(1) for _ in range(2)]
    assert urls[0] != urls[1]
    assert [fetch(url + LIVE)[0] for url in urls] == [200, 200]
    assert curl("--unix-socket", path, "http://localhost" + LIVE) == 200


def test_ports_that_are_asked_for_are_opened_beside(server, folder, tmp_path):
    path = tmp_path / "tensord.sock"
    served = server(folder, "--listen", f"unix:{path}")  # with --port 0
    assert served.fetch(LIVE)[0] == 200
    assert curl("--unix-socket", path, "http://localhost" + LIVE) == 200


def test_a_port_that_is_taken_is_named(server, folder):
    served = server(folder)
    for flag in ("--port", "--grpc-port", "--metrics-port"):
        said = refused(folder, *PORTS, flag, served.port)
        assert served.netloc in said and "does another server run there?" in said, said


def test_a_usual_second_port_that_is_taken_is_left_out(server, folder):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8001))
            taken.listen()
        except OSError:
            pass  # by somebody else, which is as good
        served = server(folder, "--port", 0, "--metrics-port", 0, ports=False).wait_listening()
        assert served.fetch(LIVE)[0] == 200
        assert served.err.wait_for("no second port for grpc: cannot listen on 127.0.0.1:8001", START_S)


@pytest.mark.parametrize("address, why", [
    ("nonsense", "is not HOST:PORT or unix:PATH"),
    ("unix:@tensord", "abstract unix sockets are open to every user"),
    ("unix:/" + "long/" * 30, "the path must have 1 to 107 characters"),
    ("unix:/no/such/folder/socket", "No such file or directory"),
    ("192.0.2.1:0", "this machine has no such address"),
])
def test_an_address_that_cannot_be_is_refused(folder, address, why):
    said = refused(folder, "--listen", address)
    assert address in said and why in said, said


# Unix sockets


def test_a_unix_socket_has_the_mode_that_was_asked_for(server, folder, tmp_path):
    for mode in (None, "0660"):
        path = tmp_path / f"{mode}.sock"
        served = server(folder, "--listen", f"unix:{path}", *(["--socket-mode", mode] if mode else []), ports=False)
        served.wait_listening(UNIX)
        assert stat.S_IMODE(path.stat().st_mode) == int(mode or "0600", 8)
    assert "--socket-mode wants permissions" in refused(folder, "--socket-mode", "rw", "--listen", f"unix:{path}.2")


def test_the_file_of_a_unix_socket_is_removed_at_the_end(server, folder, tmp_path):
    path = tmp_path / "tensord.sock"
    served = server(folder, "--listen", f"unix:{path}", ports=False).wait_listening(UNIX)
    served.stop()
    assert not path.exists()


def test_the_file_that_a_killed_server_left_is_replaced(server, folder, tmp_path):
    path = tmp_path / "tensord.sock"
    first = server(folder, "--listen", f"unix:{path}", ports=False).wait_listening(UNIX)
    assert "a server listens there" in refused(folder, "--listen", f"unix:{path}")
    first.kill()
    assert path.exists()
    server(folder, "--listen", f"unix:{path}", ports=False).wait_listening(UNIX)
    assert curl("--unix-socket", path, "http://localhost" + LIVE) == 200


# The end


def test_nobody_gets_in_once_the_server_ends(server, folder, tmp_path):
    """Both processes let go of the sockets, also while a request still runs."""
    write_model(folder, "slow", "chaos", "INT32", {"batching": "no"})
    path = tmp_path / "tensord.sock"
    served = server(folder, "--listen", f"unix:{path}").wait_ready("slow")
    answers = []
    running = threading.Thread(target=lambda: answers.append(
        served.infer("slow", request([1], datatype="INT32", wait_ms=1500, log=1))))
    running.start()
    assert served.err.wait_for("line 0 of many", START_S)
    served.process.send_signal(signal.SIGTERM)
    processes.until(lambda: curl(served.url + LIVE) == 0, STOP_S, "a refused connection")
    processes.until(lambda: curl("--unix-socket", path, "http://localhost" + LIVE) == 0, STOP_S, "the same")
    running.join()
    [(status, body)] = answers
    assert status == 200 and body["outputs"][0]["data"] == [1], body


def test_an_upgrade_keeps_the_sockets(server, folder, tmp_path):
    """The program is executed anew with the same arguments; nobody is refused meanwhile."""
    path = tmp_path / "tensord.sock"
    served = server(folder, "--listen", f"unix:{path}", "--listen", "127.0.0.1:0").wait_ready("echo")
    statuses, over = [], threading.Event()

    def ask():
        while not over.is_set():
            statuses.append(curl(served.url + LIVE))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        served.process.send_signal(signal.SIGUSR2)
        assert served.err.wait_for("upgraded", START_S)
        more = len(statuses) + 3
        processes.until(lambda: len(statuses) > more, START_S, "requests afterwards")
    finally:
        over.set()
        asking.join()
    assert set(statuses) == {200}
    assert curl("--unix-socket", path, "http://localhost" + LIVE) == 200
    served.stop()
    assert not path.exists()


# Sockets that were opened by whoever starts the server


def listening(address=("127.0.0.1", 0)):
    opened = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    opened.bind(address)
    opened.listen()
    return opened


def start_activated(server, folder, names, opened, *arguments):
    numbers = ",".join(str(one.fileno()) for one in opened)
    return server(folder, *arguments, ports=False, starter=[sys.executable, ACTIVATE, names, numbers],
                  pass_fds=[one.fileno() for one in opened])


def test_sockets_are_taken_over_instead_of_ports(server, folder, tmp_path):
    path = str(tmp_path / "systemd.sock")
    with listening() as tcp, listening(path) as unix:
        host, port = tcp.getsockname()
        served = start_activated(server, folder, "tensord.socket:main", [tcp, unix])
        served.wait_listening(re.compile(rf"listening on http://{host}:{port}\n"))
        served.wait_listening(UNIX)
        assert fetch(f"http://{host}:{port}{LIVE}")[0] == 200
        assert curl("--unix-socket", path, "http://localhost" + LIVE) == 200
        ours = [one for one in served.out.seen if "listening" in one]
        assert len(ours) == 2, ours
        served.stop()
        # The sockets are systemd's: who comes now waits for the next start.
        assert os.path.exists(path)
        socket.create_connection((host, port)).close()


def test_an_address_that_was_taken_over_is_not_opened_again(server, folder, free_port):
    """So that a server that replaces itself can be given the arguments that it has, and its sockets."""
    with listening() as tcp:
        host, port = tcp.getsockname()
        served = start_activated(server, folder, "main", [tcp], "--listen", f"{host}:{port}",
                                 "--listen", f"127.0.0.1:{free_port}")
        served.wait_listening()
        served.wait_listening(re.compile(f":{free_port}\n"))
        assert fetch(f"http://{host}:{port}{LIVE}")[0] == 200


def test_what_is_no_listening_socket_is_not_taken_over(folder):
    with socket.socket() as idle, open(os.devnull) as null:
        for one, why in ((idle, "no listening stream socket"), (null, "is no socket")):
            done = subprocess.run([sys.executable, ACTIVATE, "web", str(one.fileno()), binary(), "serve", str(folder)],
                                  pass_fds=[one.fileno()], capture_output=True, text=True, timeout=START_S)
            assert done.returncode == 2 and "socket activation, descriptor 3 ('web')" in done.stderr and why in done.stderr, done


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is not installed")
def test_systemd_starts_it_with_the_first_connection(server, folder, free_port):
    served = server(folder, ports=False, starter=["systemd-socket-activate", "-l", f"127.0.0.1:{free_port}",
                                                  *(f"-E{name}" for name in os.environ)])
    assert served.err.wait_for("Listening on", START_S)
    assert fetch(f"http://127.0.0.1:{free_port}{LIVE}", timeout_s=START_S)[0] == 200
    served.wait_listening(re.compile(f":{free_port}\n"))
