"""Other HTTP/1.1 servers, for comparison: Apache, nginx and node, each where it is installed."""
import contextlib
import random
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

START_S = 30

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "x"; }} }} }}
"""

APACHE = """
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
DocumentRoot {folder}/documents
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
User nobody
Group nogroup
"""

NODE = """
const server = require('http').createServer((request, response) => {
  request.resume();
  request.on('end', () => response.end('x'));
});
server.listen(%d, '127.0.0.1');
"""


def free_port():
    """A port that nobody listens on now, of those that the system hands to nobody by itself."""
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Peer:
    """A running server; version tells which it is."""

    def __init__(self, name, program, version, command, folder, port):
        self.name, self.address = name, ("127.0.0.1", port)
        shown = subprocess.run([program, version], capture_output=True, text=True)
        self.version = (shown.stdout + shown.stderr).splitlines()[0]
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.wait()

    def wait(self):
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(self.address, timeout=START_S).close()
                return
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.log.close()
                    raise RuntimeError(Path(self.log.name).read_text()) from None
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(START_S)
        self.log.close()


def start_peers():
    """All that are installed."""
    peers = []
    for name, program, version in (("Apache", "apache2", "-v"), ("nginx", "nginx", "-v"), ("node", "node", "--version")):
        if not (found := shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/bin:/sbin:/bin")):
            continue
        folder, port = Path(tempfile.mkdtemp(prefix="peer-")), free_port()
        folder.chmod(0o755)
        (folder / "documents").mkdir()
        config = folder / "config"
        if name == "node":
            config.write_text(NODE % port)
            command = [found, str(config)]
        elif name == "nginx":
            config.write_text(NGINX.format(folder=folder, port=port))
            command = [found, "-c", str(config)]
        else:
            config.write_text(APACHE.format(folder=folder, port=port))
            command = [found, "-f", str(config), "-DFOREGROUND"]
        peers.append(Peer(name, found, version, command, folder, port))
    return peers
