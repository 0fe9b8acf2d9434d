"""Tokens, made and revoked as an operator does it: by the program."""
import subprocess

from support.server import START_S, binary, inherited


def tensord(*arguments, environment=None, **options):
    """Runs a command to its end."""
    return subprocess.run([binary(), *map(str, arguments)], env={**inherited(), **(environment or {})}, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=START_S, **options)


def create(state_dir, **options):
    """The secret of a new token: create(folder, scope="infer", model="a*")."""
    flags = [f"--{name}={value}" for name, value in options.items()]
    done = tensord("token", "create", "--state-dir", state_dir, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def revoke(state_dir, id_or_name):
    done = tensord("token", "revoke", "--state-dir", state_dir, id_or_name)
    assert done.returncode == 0, done.stderr


def bearer(secret):
    """The header that shows it."""
    return {"Authorization": f"Bearer {secret}"}
