"""Runs a command under the system-call filter of a systemd unit, as systemd would:

    unit_filter.py UNIT COMMAND [ARGUMENT…]

Groups come from `systemd-analyze syscall-filter`; the filter is loaded by libseccomp.
"""
import ctypes
import os
import subprocess
import sys

ALLOW = 0x7FFF0000
ERRNO_EPERM = 0x00050001
UNKNOWN_CALL = -1


def groups():
    """name → its calls and groups, as systemd lists them."""
    found, name = {}, None
    listing = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        if line.startswith("@"):
            name = line.strip()
            found[name] = []
        elif line.startswith("    ") and not line.strip().startswith("#"):
            found[name].append(line.strip())
    return found


def expand(names, known):
    """The calls that the names stand for."""
    calls = set()
    for name in names:
        calls |= expand(known[name], known) if name.startswith("@") else {name}
    return calls


def allowed(unit):
    """The calls that the unit's lines SystemCallFilter= leave."""
    known, calls = groups(), None
    with open(unit) as lines:
        values = [line.partition("=")[2].strip() for line in lines if line.startswith("SystemCallFilter=")]
    for value in values:
        if value.startswith("~"):
            calls -= expand(value[1:].split(), known)
        else:
            calls = (calls or expand(["@default"], known)) | expand(value.split(), known)
    return calls


def load(calls):
    """From here on every other call is refused with EPERM."""
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ERRNO_EPERM))
    for name in sorted(calls):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number != UNKNOWN_CALL:
            seccomp.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), ctypes.c_int(number), ctypes.c_uint(0))
    if seccomp.seccomp_load(context) != 0:
        sys.exit("the filter cannot be loaded")


if __name__ == "__main__":
    load(allowed(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
