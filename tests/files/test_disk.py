"""Files: whole or not at all."""

import errno
import hashlib
import os
import subprocess
import sys

import pytest

from leela_probe.files import disk


def test_a_file_is_written_and_replaced_whole(tmp_path):
    path, temporary = tmp_path / "file", tmp_path / "growing"
    disk.write(path, lambda file: file.write(b"one"), temporary=temporary)
    disk.write(path, lambda file: file.write(b"two"), temporary=temporary)
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"new")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        disk.write(path, fail, temporary=tmp_path / "growing")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    content = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(content)
    assert disk.sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_the_stamp_tells_a_file_that_was_written_again_with_the_same_size(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    before = disk.stamp(path)
    assert disk.stamp(path) == before
    (tmp_path / "other").write_bytes(b"two")
    (tmp_path / "other").replace(path)
    assert disk.stamp(path) != before


def test_a_file_is_held_by_one_at_a_time(tmp_path):
    with (tmp_path / "lock").open("w") as first:
        assert disk.hold(first)
        with (tmp_path / "lock").open("w") as second:
            assert not disk.hold(second)
    with (tmp_path / "lock").open("w") as third:
        assert disk.hold(third)


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*net\.pb\.gz'$"):
            disk.write(tmp_path / "net.pb.gz", lambda file: file.write(b"x"))
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_and_the_file_behind_it_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "there" / "file.csv")
    for content in (b"one", b"two"):
        disk.write(link, lambda file, content=content: file.write(content))
        assert link.is_symlink()
        assert (tmp_path / "there" / "file.csv").read_bytes() == content
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file.csv"]


KILLED = """
import os, signal, sys
from pathlib import Path
from leela_probe.files import disk

folder = Path(sys.argv[1])
with disk.scratch_folder(folder, ".converting-") as scratch:
    (scratch / "network.onnx").write_bytes(b"half")

    def killed(file):
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    disk.write(folder / "net.pb.gz", killed)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs locks on files")
def test_what_a_killed_program_left_is_removed_by_the_next_and_what_is_in_use_is_not(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    assert len(list(tmp_path.iterdir())) == 2
    with disk.scratch_folder(tmp_path, ".converting-") as first:
        assert [path for path in tmp_path.iterdir() if path.is_dir()] == [first]
        with disk.scratch_folder(tmp_path, ".converting-") as second:
            assert first.is_dir()
            assert first != second

    def meanwhile(file):
        file.write(b"one")
        disk.write(tmp_path / "net.pb.gz", lambda other: other.write(b"two"))
        assert len(list(tmp_path.iterdir())) == 2

    disk.write(tmp_path / "net.pb.gz", meanwhile)
    assert (tmp_path / "net.pb.gz").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["net.pb.gz"]
