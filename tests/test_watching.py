"""What happens to a repository's folder while it is served: how files come, and how all of it is
replaced."""
import os
import shutil
import subprocess
import threading

import pytest

from support import models
from support.processes import until
from support.repositories import index, value


def save_settled(number, path):
    """A model that answers the number, written long ago."""
    models.save(models.constant(number), path)
    os.utime(path, (1, 1))
    return path


def folder_with(folder, name, number):
    save_settled(number, folder / f"{name}.onnx")
    return folder


def wait_value(server, model, number):
    until(lambda: value(server, model) == number, 60, f"'{model}' to answer {number}\n{server.err.text()}\n")


def git(folder, *arguments):
    subprocess.run(["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True,
                   capture_output=True, timeout=60)


# ---- files that come ----


def test_a_file_that_somebody_still_writes_waits(server, repository):
    """The writer pauses for longer than a second; half of the model would be refused."""
    folder = repository(first=models.constant(1))
    running = server(folder).wait_ready("first")
    whole = models.constant(3).SerializeToString()
    with open(folder / "slow.onnx", "wb") as file:
        for part in (whole[:20], whole[20:40]):
            file.write(part)
            file.flush()
            until(lambda: index(running).get(("slow", "1"), {}).get("reason") == "'slow.onnx' is still being written", 60)
        assert index(running)["slow", "1"]["state"] == "LOADING"
        file.write(whole[40:])
    wait_value(running, "slow", 3)
    assert "model slow:1" not in "".join(line for line in running.err.seen if '"error"' in line)


def test_a_log_that_is_written_without_end_hides_nothing(server, repository):
    """There is no moment in which nothing happens in the folder."""
    folder = repository(first=models.constant(1))
    running = server(folder).wait_ready("first")
    stop = threading.Event()

    def write():
        with open(folder / "a.log", "w", buffering=1) as file:
            while not stop.wait(0.002):
                file.write("line\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        save_settled(2, folder / "second.onnx")
        wait_value(running, "second", 2)
    finally:
        stop.set()
        writer.join()


def test_external_data_that_somebody_still_writes_makes_its_model_wait(server, tmp_path):
    folder = tmp_path / "models"
    made = models.save(models.matmul(width=64), tmp_path / "made/model.onnx", external_data=True)
    data = (tmp_path / "made/model.data").read_bytes()
    running = server(folder_with(folder, "first", 1)).wait_ready("first")
    (folder / "m").mkdir()
    shutil.copy(made, folder / "m/model.onnx")
    with open(folder / "m/model.data", "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        until(lambda: index(running).get(("m", "1"), {}).get("reason") == "'model.data' is still being written", 60)
        file.write(data[len(data) // 2 :])
    running.wait_ready("m")
    assert not any('"error"' in line for line in running.err.seen)


def test_however_files_come_each_is_served_once_and_whole(server, repository, tmp_path):
    """cp of a large file, mv, rsync (a hidden name, times kept, then the right one), git checkout, ln."""
    folder = repository(first=models.constant(1))
    git(folder, "init", "-q")
    for number in (5, 6):
        models.save(models.constant(number), folder / "git.onnx")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", str(number), "--no-gpg-sign")
        git(folder, "tag", f"v{number}")
    git(folder, "checkout", "-q", "v5")
    running = server(folder).wait_ready("first").wait_ready("git")
    large = models.save(models.matmul(width=2048), tmp_path / "large.onnx")
    subprocess.run(["cp", large, folder / "copied.onnx"], check=True, timeout=60)
    running.wait_ready("copied")
    save_settled(7, tmp_path / "moved.onnx").rename(folder / "moved.onnx")
    wait_value(running, "moved", 7)
    save_settled(8, folder / ".synced.onnx.Xa3b").rename(folder / "synced.onnx")
    wait_value(running, "synced", 8)
    assert value(running, "git") == 5
    git(folder, "checkout", "-q", "v6")
    wait_value(running, "git", 6)
    (folder / "linked.onnx").symlink_to(save_settled(9, tmp_path / "target.onnx"))
    wait_value(running, "linked", 9)
    assert not any('"error"' in line for line in running.err.seen)


# ---- the folder itself ----


def test_a_folder_that_is_removed_and_made_again_is_served(server, repository):
    folder = repository(m=models.constant(1))
    running = server(folder).wait_ready("m")
    shutil.rmtree(folder)
    running.err.wait_for("cannot read the repository", 60)
    assert value(running, "m") == 1  # what was loaded goes on
    folder.mkdir()
    save_settled(2, folder / "m.onnx")
    wait_value(running, "m", 2)


def test_a_folder_that_is_swapped_for_another_is_served(server, tmp_path):
    save_settled(1, tmp_path / "models/m.onnx")
    save_settled(2, tmp_path / "next/m.onnx")
    running = server(tmp_path / "models").wait_ready("m")
    (tmp_path / "models").rename(tmp_path / "old")
    (tmp_path / "next").rename(tmp_path / "models")
    wait_value(running, "m", 2)
    save_settled(3, tmp_path / "models/m.onnx")  # and it is watched
    wait_value(running, "m", 3)


def test_a_link_that_is_pointed_elsewhere_is_followed(server, tmp_path):
    """As releases are switched, and as git-sync does it; without a failed request."""
    for number in (1, 2, 3):
        save_settled(number, tmp_path / f"releases/{number}/m.onnx")
    current = tmp_path / "current"
    current.symlink_to("releases/1")
    running = server(current).wait_ready("m")
    answers, stop = [], threading.Event()

    def client():
        while not stop.is_set():
            answers.append(value(running, "m"))

    thread = threading.Thread(target=client)
    thread.start()
    until(lambda: answers, 60, "the first answer")
    for number in (2, 3):
        (tmp_path / "new").symlink_to(f"releases/{number}")
        (tmp_path / "new").rename(current)
        until(lambda: answers and answers[-1] == number, 60, f"release {number}")
    stop.set()
    thread.join(60)
    assert set(answers) == {1, 2, 3}
    save_settled(4, tmp_path / "releases/3/m.onnx")
    wait_value(running, "m", 4)
    save_settled(5, tmp_path / "releases/1/m.onnx")  # nobody looks there any more
    save_settled(6, tmp_path / "releases/3/m.onnx")
    wait_value(running, "m", 6)


@pytest.mark.parametrize("inner", ["m.onnx", "m/1/model.onnx"])
def test_a_mounted_config_map_is_followed(server, tmp_path, inner):
    """Kubernetes writes a folder, links ..data to it and renames the link."""
    folder = tmp_path / "models"

    def publish(number):
        save_settled(number, folder / f"..{number}" / inner)
        (folder / "..data_tmp").symlink_to(f"..{number}")
        (folder / "..data_tmp").rename(folder / "..data")

    publish(1)
    top = inner.split("/")[0]
    (folder / top).symlink_to(f"..data/{top}")
    running = server(folder).wait_ready("m")
    assert value(running, "m") == 1
    publish(2)
    shutil.rmtree(folder / "..1")
    wait_value(running, "m", 2)


def test_a_single_file_may_be_a_link_that_changes(server, tmp_path):
    """Also one whose target has another name, as in a store of blobs."""
    for number in (1, 2):
        save_settled(number, tmp_path / f"blobs/{number}.onnx").rename(tmp_path / f"blobs/{number}")
    link = tmp_path / "here/m.onnx"
    link.parent.mkdir()
    link.symlink_to("../blobs/1")
    running = server(link).wait_ready("m")
    assert value(running, "m") == 1
    (tmp_path / "here/next").symlink_to("../blobs/2")
    (tmp_path / "here/next").rename(link)
    wait_value(running, "m", 2)


def test_links_of_folders_stay_in_the_repository(server, tmp_path):
    save_settled(1, tmp_path / "models/a/model.onnx")
    save_settled(2, tmp_path / "elsewhere/model.onnx")
    (tmp_path / "models/inside").symlink_to("a")
    (tmp_path / "models/outside").symlink_to(tmp_path / "elsewhere")
    running = server(tmp_path / "models").wait_ready("a").wait_ready("inside")
    assert value(running, "inside") == 1
    until(lambda: ("outside", "1") in index(running), 60)
    assert index(running)["outside", "1"]["reason"] == "its folder is a link out of the repository, which is not followed"


def test_a_folder_that_cannot_be_read_keeps_its_model(server, tmp_path):
    save_settled(1, tmp_path / "models/m/model.onnx")
    save_settled(2, tmp_path / "models/other.onnx")
    running = server(tmp_path / "models").wait_ready("m")
    (tmp_path / "models/m").chmod(0)
    running.err.wait_for("its folder cannot be read", 60)
    assert index(running)["m", "1"]["state"] == "READY"
    assert index(running)["m", "1"]["reason"] == "its folder cannot be read; what was loaded is served"
    (tmp_path / "models/locked").mkdir(0)
    until(lambda: ("locked", "1") in index(running), 60)
    assert index(running)["locked", "1"]["reason"] == "its folder cannot be read: Permission denied"
    assert value(running, "m") == 1
    (tmp_path / "models/m").chmod(0o755)
    (tmp_path / "models/locked").rmdir()
    until(lambda: index(running)["m", "1"]["reason"] == "", 60)
    until(lambda: ("locked", "1") not in index(running), 60)
    assert value(running, "m") == 1
