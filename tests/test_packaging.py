"""What is installed beside the program: the service of systemd."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import models
from support.processes import until
from support.server import ROOT, is_sanitized

UNIT = ROOT / "packaging" / "tensord.service"
HIGHEST_EXPOSURE = 1.0

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


def test_the_service_is_hardly_exposed(record_property):
    judged = subprocess.run(["systemd-analyze", "security", "--offline=true", UNIT],
                            capture_output=True, text=True, check=True)
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout).group(1))
    record_property("exposure", exposure)
    assert exposure <= HIGHEST_EXPOSURE, judged.stdout


def test_the_service_has_no_mistakes(tmp_path):
    """`verify` knows every key; the program's path is one that is there."""
    copy = tmp_path / UNIT.name
    text = UNIT.read_text().replace("/usr/bin/tensord", "/bin/true")
    copy.write_text(re.sub("^Documentation=.*\n", "", text, flags=re.M))
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    assert verified.returncode == 0 and not verified.stderr, verified.stderr


@pytest.mark.skipif(is_sanitized(), reason="sanitizers trace, which the filter refuses")
def test_the_server_works_under_the_services_filter(server, repository):
    """Its own sandbox included, which makes system calls that hardened services rarely allow; but for namespaces."""
    folder = repository(echo=models.identity())
    confined = [sys.executable, str(Path(__file__).parent / "support" / "unit_filter.py"), str(UNIT)]
    if os.geteuid() == 0:  # the service has no capabilities
        confined = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--securebits=+noroot", *confined]
    served = server(folder, starter=confined).wait_ready("echo")
    for said in ("sandbox of workers: landlock.*seccomp", "workers cannot have namespaces"):
        until(lambda said=said: re.search(said, served.err.text()), 60, said)
    status, body = served.infer("echo", {"inputs": [{
        "name": "INPUT", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})
    assert status == 200 and body["outputs"][0]["data"] == [1, 2, 3, 4]
