"""The gRPC stacks of Go, Java and JavaScript, with stubs that are generated from our .proto files: tests/clients/."""
import re
import shlex
import shutil
import subprocess

import pytest

from support import streams
from support.processes import until
from support.relay import Relay
from support.repositories import write_model
from support.server import ROOT, Lines
from support.sockets import FRAME_GOAWAY, FRAME_PING

NEEDED = {"go": ["go"], "java": ["javac", "mvn"], "javascript": ["npm"]}
CHECKS = {"health", "health watch", "live and ready", "server metadata", "model metadata", "model config", "raw contents",
          "typed contents", "compression", "a large message", "an unknown model", "a deadline", "cancelling", "a token",
          "many at once", "a stream", "errors in a stream", "reflection", "keepalive"}
TIME_S = 300
COMPRESSIBLE_BYTES = 1 << 19
PINGS = 3  # the first may ask how fast the connection is


def pinged(relay):
    """Has the server answered so many pings?"""
    return [(client, server) for client, server in relay.connections
            if client.frames[FRAME_PING, False] >= PINGS and server.frames[FRAME_PING, True] >= PINGS]


@pytest.mark.parametrize("language", NEEDED)
def test_a_stack(server, tmp_path, language, record_property):
    if not all(map(shutil.which, NEEDED[language])):
        pytest.skip(f"{language} is not installed")
    folder = write_model(tmp_path / "models", "echo", "identity")
    write_model(folder, "chaos", "chaos", "INT32", {"batching": "no", "concurrency": 4})
    served = server(folder).wait_ready("echo").wait_ready("chaos")
    command = shlex.split((ROOT / ".deps/clients" / language / "command").read_text())
    with Relay(served.address) as compressed, Relay(served.address) as watched:
        command += [served.netloc, compressed.netloc, watched.netloc, served.admin_token]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            said = Lines(client.stdout)
            if said.wait_for("^watching$", TIME_S):
                until(lambda: pinged(watched), TIME_S, "pings")
            client.stdin.close()
            status = client.wait(TIME_S)
            said.join()
        finally:
            client.kill()
            client.wait()
    print(said.text())
    assert status == 0 and set(re.findall("^ok: (.*)$", said.text(), re.M)) == CHECKS, said.text()
    [(_, to_client)] = watched.connections
    assert to_client.frames[FRAME_GOAWAY, False] == 0
    [(from_client, to_client)] = compressed.connections
    assert max(from_client.bytes, to_client.bytes) < COMPRESSIBLE_BYTES / 2
    streams.wait_free(served)  # what was cancelled, and what had its deadline
    record_property("checks", len(CHECKS))
