"""What the program's file says of its own defences, read as any auditor would."""
import re
import subprocess
from pathlib import Path

import pytest

from support.server import binary, is_sanitized

SANITIZED = is_sanitized() or "torture" in binary()
PROGRAM = Path(binary()).resolve()
ENGINES = sorted((PROGRAM.parents[2] / "engines").glob("*.so"))
pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer's build is not what is shipped")


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, path], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("path", [PROGRAM, *ENGINES], ids=lambda path: path.name)
def test_the_file_is_hardened(path):
    header, segments, dynamic = readelf(path, "-h"), readelf(path, "-l"), readelf(path, "-d")
    assert re.search(r"Type:\s+DYN", header), "position independent"
    assert "GNU_RELRO" in segments, "relocations are read-only"
    assert re.search(r"FLAGS.*(BIND_NOW|NOW)", dynamic), "and all are made at the start"
    assert re.search(r"GNU_STACK.*\bRW\s", segments), "the stack is not executable"
    assert not re.search(r"LOAD.*RWE", segments), "nothing is writable and executable"
    assert not re.search(r"\((RPATH|RUNPATH|TEXTREL)\)", dynamic), "no path of the builder's"


def test_the_program_checks_its_stack_its_buffers_and_its_jumps():
    symbols, notes = readelf(PROGRAM, "--dyn-syms"), readelf(PROGRAM, "-n")
    assert "__stack_chk_fail" in symbols
    assert len(set(re.findall(r"\b__\w+_chk\b", symbols))) >= 3, "fortified"
    assert re.search(r"x86 feature: IBT, SHSTK", notes) or "x86" not in readelf(PROGRAM, "-h").lower(), notes
