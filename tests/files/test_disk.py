"""Files: whole or not at all."""

import hashlib

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
