"""NVIDIA's tritonserver beside ours, with the same folder of Python models; see tools/tritonserver.sh."""
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from support.http_peers import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S = 300  # the first start installs it
STOP_S = 60
ENDING_S = 5  # between the last bytes of a server that crashes, and its end


def answers(url):
    """Does the URL answer 200?"""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status == 200
    except (urllib.error.HTTPError, OSError):
        return False


class TritonServer:
    """A running tritonserver that is ready: all models of the folder have been loaded, or have failed to. Its ports are free
    ones; `log` is the file that it writes to; the arguments are options of tritonserver's."""

    def __init__(self, models, log, *arguments):
        self.http_port, self.grpc_port, self.metrics_port = free_port(), free_port(), free_port()
        self.url, self.grpc_netloc = f"http://127.0.0.1:{self.http_port}", f"127.0.0.1:{self.grpc_port}"
        self.log = Path(log)
        ports = [str(port) for port in (self.http_port, self.grpc_port, self.metrics_port)]
        self.command = [ROOT / "tools/tritonserver.sh", models, *ports, "--exit-on-error=false", "--strict-readiness=false", *arguments]
        self.start()

    def start(self):
        """Starts it, also again after its end."""
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self.wait_ready()

    def has_ended(self):
        """Has it ended of its own accord?"""
        try:
            self.process.wait(ENDING_S)
            return True
        except subprocess.TimeoutExpired:
            return False

    def wait_ready(self):
        end = time.monotonic() + START_S
        while not answers(f"{self.url}/v2/health/ready"):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"tritonserver did not start:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.1)

    def stop(self):
        """SIGINT, upon which it unloads its models and ends; killed when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
