"""What is written from the tables of commands and settings: help, the manual page, docs/config.md, completion."""
import os
import pty
import re
import shutil
import signal
import subprocess

import pytest

from support.server import ROOT, START_S, binary, inherited


def run(*arguments, status=0):
    """A command of the program that ends by itself: what it wrote, after its status was checked."""
    done = subprocess.run([binary(), *arguments], env=inherited(), text=True, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=START_S)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def names():
    """The settings' names, in the table's order."""
    return re.findall(r"^(?:# )?(\w+): ", run("config").stdout, re.MULTILINE)


def tool(name):
    """The path of a tool that is not everywhere."""
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def check(*command, text=None):
    """Runs a tool on the text; what it prints when nothing is wrong is returned."""
    done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=START_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_docs_are_as_the_tables_have_them():
    page = (ROOT / "docs" / "config.md").read_text()
    assert page == run("help", "--markdown").stdout, "run ./dev docs"
    assert all(f"| `{name}`" in page for name in names())


def test_help_shows_every_setting_and_fits_a_terminal():
    text = run("help").stdout
    assert run("--help").stdout == run("-h").stdout == run().stdout == text
    assert all(f"  --{name.replace('_', '-')}" in text for name in names())
    assert all(command in text for command in ("serve", "ls", "config", "completion"))
    for shown in (text, run("tritonserver", "--help").stdout, run("mlserver", "--help").stdout):
        assert max(map(len, shown.splitlines())) <= 100


def test_help_of_a_command():
    text = run("ls", "--help").stdout
    assert text == run("help", "ls").stdout == run("ls", "--to", "x", "-h").stdout
    assert "--to URL" in text and "--grpc-port" not in text
    assert "--grpc-port N" in run("serve", "--help").stdout
    assert "--http-port" in run("tritonserver", "--help").stdout
    assert run("--version").stdout == run("version").stdout == run("-V").stdout


def test_mistakes_are_told():
    assert run("serv", status=2).stderr == "tensord: unknown command 'serv'; did you mean 'serve'?\n"
    assert run("xyzzyx", status=2).stderr == "tensord: unknown command 'xyzzyx'; see tensord help\n"
    assert run("help", "lss", status=2).stderr == "tensord help: unknown command 'lss'; did you mean 'ls'?\n"
    assert run("ls", "--too", "x", status=2).stderr == "tensord ls: unknown option '--too'; did you mean '--to'?\n"
    assert run("ls", "--to", status=2).stderr == "tensord ls: --to wants a value: URL\n"
    assert run("ls", "a\x1bb", status=2).stderr == "tensord ls: 'a?b' is one argument too many; see --help\n"
    assert run("help", "--man=x", status=2).stderr == "tensord help: --man takes no value\n"
    assert run("completion", "csh", status=2).stderr == "tensord completion: which shell? One of bash, zsh, fish\n"


def test_the_manual_page_is_well_formed():
    page = run("help", "--man").stdout
    assert not check(tool("mandoc"), "-T", "lint", "-W", "error", text=page)
    shown = check(tool("mandoc"), "-T", "utf8", text=page)
    plain = re.sub(".\b", "", shown)
    for name in names():
        assert f"--{name.replace('_', '-')}" in plain
    assert "From 0 to 65535." in plain and "Default: 15000 ms." in plain


# ---- completion ----


@pytest.fixture
def script(tmp_path):
    """script(shell) writes the shell's script and returns its path."""

    def write(shell):
        path = tmp_path / f"completion.{shell}"
        path.write_text(run("completion", shell).stdout)
        return path

    return write


# What is typed, and one of the words that may come next.
TYPED = [
    ("", "serve"),
    ("ser", "serve"),
    ("completion z", "zsh"),
    ("help mls", "mlserver"),
    ("ls --t", "--to"),
    ("serve --grpc", "--grpc-port"),
    ("config --max-js", "--max-json-mib"),
    ("serve --load la", "lazy"),
    ("serve --port 1 --sandbox stri", "strict"),
    ("tritonserver --http-por", "--http-port"),
    ("mlserver st", "start"),
]


def in_bash(path, typed, folder):
    words = typed.split(" ")
    code = ('source "$0"; compopt() { :; }; COMP_WORDS=(tensord "$@"); COMP_CWORD=$#; _tensord; '
            'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", code, path, *words], cwd=folder, text=True, capture_output=True,
                          timeout=START_S)
    assert not done.stderr
    return done.stdout.split()


def in_fish(path, typed, folder):
    done = subprocess.run([tool("fish"), "--no-config", "-c", f"source {path}; complete -C 'tensord {typed}'"],
                          cwd=folder, text=True, capture_output=True, timeout=START_S)
    assert not done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("typed, word", TYPED)
def test_bash_completes(script, tmp_path, typed, word):
    assert word in in_bash(script("bash"), typed, tmp_path)


@pytest.mark.parametrize("typed, word", TYPED)
def test_fish_completes(script, tmp_path, typed, word):
    assert word in in_fish(script("fish"), typed, tmp_path)


def test_folders_are_completed_where_a_folder_is_wanted(script, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "fold.txt").touch()
    assert in_bash(script("bash"), "serve --state-dir fol", tmp_path) == ["folder"]
    assert in_fish(script("fish"), "serve --state-dir fol", tmp_path) == ["folder/"]


class Zsh:
    """An interactive zsh on a terminal of its own, in which `tensord` prints its arguments."""

    def __init__(self, path, folder):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**inherited(), "TERM": "dumb"})
        self.send("autoload -Uz compinit; compinit -u -D; source " + str(path) + "; "
                  'tensord() { print -r -- "ARGU""MENTS<$*>" }; print REA""DY\r')
        self.wait("READY")

    def send(self, text):
        os.write(self.fd, text.encode())

    def wait(self, pattern):
        """Reads until the pattern has come; the terminal's end ends the test."""
        seen = ""
        while not (match := re.search(pattern, seen)):
            seen += os.read(self.fd, 4096).decode(errors="replace")
        return match

    def complete(self, typed):
        self.send(f"tensord {typed}\t\r")
        return self.wait(r"ARGUMENTS<([^>]*)>").group(1)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def test_zsh_completes(script, tmp_path):
    tool("zsh")
    (tmp_path / "folder").mkdir()
    shell = Zsh(script("zsh"), tmp_path)
    try:
        for typed, word in TYPED[1:]:
            assert shell.complete(typed).split()[-1].rstrip("=") == word, typed
        assert shell.complete("serve --state-dir fol") == "serve --state-dir folder"
    finally:
        shell.close()


def test_scripts_are_what_their_shells_can_read(script):
    check("bash", "-n", str(script("bash")))
    check(tool("fish"), "--no-execute", str(script("fish")))
    check(tool("zsh"), "-n", str(script("zsh")))
