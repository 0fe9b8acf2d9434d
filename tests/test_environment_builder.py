"""The builder of environments: whole or not at all, within its bounds, and tidy afterwards."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.builder import Builder


@pytest.fixture
def builder(tmp_path):
    """A folder of environments, and a uv that does what a test wants."""
    return Builder(tmp_path)


@pytest.fixture
def plan(builder):
    """Of a model with one requirement."""
    return builder.plan(requirements_txt="iniconfig\n")


def write(text):
    """Source that writes into the environment that is made."""
    return f"open(os.path.join(target, 'made'), 'w').write({text!r})"


def test_an_environment_is_made_once(builder, plan):
    first = builder.start(plan, write("1"))
    assert first.answer() == {}
    place = builder.environments / plan["hash"]
    assert (place / "made").read_text() == "1"
    assert "installing" in first.lines and first.lines[0] == "building from requirements.txt"
    again = builder.start(plan, "sys.exit(1)")
    assert again.answer() == {} and "made" not in again.lines
    assert not builder.left()
    assert builder.plan(requirements_txt="iniconfig\n")["ready"]
    version = subprocess.run([place / "bin/python", "-I", "-c", "import sys; print(sys.prefix)"],
                             capture_output=True, text=True, check=True).stdout.strip()
    assert version == str(place)


def test_builders_of_one_environment_do_not_disturb_each_other(builder, plan):
    both = [builder.start(plan, "time.sleep(0.3)") for _ in range(2)]
    assert [one.answer() for one in both] == [{}, {}]
    assert not builder.left()


def test_the_installers_own_words_are_the_error(builder, plan):
    play = "print('Using Python'); print('error: No such thing'); print('  cause: it'); sys.exit(1)"
    asked = builder.start(plan, play)
    assert asked.answer() == {"error": "error: No such thing cause: it"}
    assert "  cause: it" in asked.lines
    assert not builder.left() and not builder.plan()["ready"]


def test_code_runs_only_when_there_is_no_wheel(builder, plan):
    play = """
if '--no-build' in arguments:
    print('error: building from source is disabled'); sys.exit(1)
assert '/cache' in arguments[arguments.index('--cache-dir') + 1].split('.tmp')[1]
"""
    asked = builder.start(plan, play)
    assert asked.answer() == {}
    assert any("trying to build" in line for line in asked.lines)


def test_a_build_that_hangs_is_ended_with_all_it_started(builder, plan):
    sleep = "subprocess.Popen(['sleep', '1000'], start_new_session=True)"
    play = f"print('pid', {sleep}.pid, flush=True); time.sleep(1000)"
    asked = builder.start(plan, play, timeout_s=10)
    assert "longer than 10 s" in asked.answer()["error"]
    (pid,) = [int(line.split()[1]) for line in asked.lines if line.startswith("pid ")]
    assert not os.path.exists(f"/proc/{pid}")
    assert not builder.left()


def test_a_build_that_takes_too_much_disk_is_ended(builder, plan):
    play = "f = open(os.path.join(target, 'big'), 'wb')\nwhile True: f.write(b'x' * (1 << 20)); f.flush(); time.sleep(0.01)"
    asked = builder.start(plan, play, disk_mib=30)
    assert "more than 30 MiB" in asked.answer()["error"]
    assert not builder.left()


def test_a_disk_that_is_full_is_told(builder, plan):
    play = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
file = open(os.path.join(target, 'big'), 'wb', buffering=0)
try: file.write(b'x' * 1000), file.write(b'x')
except OSError as e: print('error:', e.strerror); sys.exit(2)
"""
    assert builder.start(plan, play).answer() == {"error": "error: File too large"}
    assert not builder.left()


def test_a_builder_that_is_killed_leaves_nothing_half_made(builder, plan):
    asked = builder.start(plan, "print('half', flush=True); time.sleep(1000)")
    while asked.read() != "+half":
        pass
    assert builder.left()
    os.killpg(asked.process.pid, signal.SIGKILL)
    asked.process.wait()
    asked.stream.close()
    assert not builder.plan()["ready"] and not (builder.environments / plan["hash"]).exists()
    assert builder.start(plan).answer() == {}
    assert not builder.left() and builder.plan()["ready"]


@pytest.mark.parametrize(
    "play",
    [
        "p = os.path.join(target, 'bin/python'); os.unlink(p); os.symlink('/bin/sh', p)",
        "open(os.path.join(target, 'pyvenv.cfg'), 'a').write('home = /etc\\n')",
        "os.rename(target, target + '2'); os.symlink(target + '2', target)",
        "b = os.path.join(target, 'bin'); os.rename(b, b + '2'); os.symlink(b + '2', b)",
    ],
)
def test_a_package_cannot_change_what_the_environment_leads_to(builder, plan, play):
    assert "replaced" in builder.start(plan, play).answer()["error"]
    assert not builder.left() and not builder.plan()["ready"]


def test_a_package_cannot_write_elsewhere(builder, plan):
    other = builder.environments / ("0" * 32)
    other.mkdir()
    play = f"""
for path in ({str(other / 'x')!r}, {str(builder.folder / 'x')!r}):
    try: open(path, 'w'); print('error: it could'); sys.exit(1)
    except PermissionError: pass
"""
    assert builder.start(plan, play).answer() == {}


def test_a_manifest_that_a_package_brings_is_replaced(builder, plan, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    play = f"os.symlink({str(victim)!r}, os.path.join(target, 'tensord.json'))"
    assert builder.start(plan, play).answer() == {}
    assert victim.read_text() == "mine"
    assert plan["hash"] in (builder.environments / plan["hash"] / "tensord.json").read_text()


def test_a_plan_that_was_tampered_with_is_refused(builder, plan):
    plan["recipe"]["requirements"] = ["other"]
    assert builder.start(plan).answer() == {"error": "the plan is not sound"}
    assert builder.start({**plan, "hash": "../../x"}).answer() == {"error": "the plan is not sound"}


def test_no_such_python(builder):
    plan = builder.plan(
        pyproject_toml='[project]\ndependencies = ["x"]\nrequires-python = ">=3.98"\n'
    )
    error = builder.start(plan).answer()["error"]
    assert error.startswith("no Python >=3.98 (at least 3.11) is installed on the server; it has 3.")


def test_uv_that_is_not_there(builder, plan):
    assert "--uv" in builder.start(plan, uv="/nonexistent/uv").answer()["error"]


def test_scripts_are_rewritten_for_their_place(builder, plan):
    play = (
        "open(os.path.join(target, 'bin/tool'), 'w').write("
        "'#!' + os.path.join(target, 'bin/python') + '\\n')"
    )
    assert builder.start(plan, play).answer() == {}
    place = builder.environments / plan["hash"]
    assert (place / "bin/tool").read_text() == f"#!{place}/bin/python\n"


@pytest.mark.parametrize("form", ["uv.lock", "pylock.toml", "requirements.lock"])
def test_locks(builder, tmp_path, form):
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not beside this Python")
    project = tmp_path / "model"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "m"\nversion = "0"\nrequires-python = ">=3.11"\n'
        'dependencies = ["iniconfig==2.0.0"]\n'
    )
    subprocess.run([uv, "lock", "-q"], cwd=project, check=True)
    if form != "uv.lock":
        subprocess.run([uv, "export", "-q", "--no-emit-project", "-o", form, "--format",
                        "pylock.toml" if form == "pylock.toml" else "requirements-txt"],
                       cwd=project, check=True)
        (project / "uv.lock").unlink()
    plan = builder.plan()
    assert plan["origin"] == form
    assert builder.start(plan, uv=str(uv)).answer() == {}
    assert list((builder.environments / plan["hash"]).glob("lib/python3*/site-packages/iniconfig"))


def test_unused_environments_are_removed(builder):
    first = builder.plan(requirements_txt="iniconfig\n")
    second = builder.plan(requirements_txt="six\n")
    for one in (first, second):
        assert builder.start(one).answer() == {}
    assert builder.collect([], unused_s=3600) == []  # young
    long_ago = time.time() - 7200
    for one in (first, second):
        os.utime(builder.environments / f"{one['hash']}.used", (long_ago, long_ago))
    assert len(builder.collect([second["hash"]], unused_s=3600)) == 1
    assert not (builder.environments / first["hash"]).exists()
    assert builder.collect([], unused_s=3600) == []  # it has just been in use
    assert (builder.environments / second["hash"]).exists() and not builder.left()


def test_folders_that_may_not_be_written_to_are_removed_too(builder, plan):
    play = "d = os.path.join(target, 'd'); os.mkdir(d); open(d + '/f', 'w'); os.chmod(d, 0o500)"
    assert builder.start(plan, play).answer() == {}
    assert len(builder.collect([])) == 1
    assert not (builder.environments / plan["hash"]).exists()


def test_the_cache_is_bounded(builder, plan):
    assert builder.start(plan).answer() == {}
    (builder.environments / "cache" / "big").write_bytes(b"x" * (2 << 20))
    assert builder.collect([plan["hash"]], cache_mib=4) == []
    assert builder.collect([plan["hash"]], cache_mib=1) == ["emptied the installer's cache"]
    assert not list((builder.environments / "cache").iterdir())
