"""The folder of an unfinished output: held by one, and what is in it is whole or not there."""

import pytest

from leela_probe.files import unfinished
from leela_probe.files.manifests import DamagedError
from leela_probe.files.unfinished import DamagedWarning, UnfinishedFolder


@pytest.fixture
def folder(tmp_path):
    made = UnfinishedFolder(tmp_path / "out.partial")
    assert made.hold()
    yield made
    made.let_go()


def test_one_at_a_time_holds_it_and_nothing_stays_of_it(folder):
    other = UnfinishedFolder(folder.path)
    assert not other.hold()
    folder.remove()
    assert not folder.path.exists()
    assert other.hold()
    assert other.is_held
    other.remove()


def test_a_lock_in_a_folder_that_was_removed_holds_nothing(folder, monkeypatch):
    other = UnfinishedFolder(folder.path)
    hold = unfinished.disk.hold

    def removed_before(lock):
        monkeypatch.setattr(unfinished.disk, "hold", hold)
        folder.remove()  # between the opening of the lock and the locking
        return hold(lock)

    monkeypatch.setattr(unfinished.disk, "hold", removed_before)
    assert other.hold()
    assert not UnfinishedFolder(folder.path).hold()
    other.remove()


def test_every_flipped_bit_of_a_checked_file_is_noticed(folder):
    path = folder.part(3)
    folder.write_checked(path, b"content")
    assert bytes(folder.read_checked(path)) == b"content"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.warns(DamagedWarning, match=r"part-000003\.arrow' is damaged: it is m"):
            assert folder.read_checked(path) is None
    assert folder.read_checked(folder.part(4)) is None


def test_the_manifest_counts_before_the_plan_and_damage_is_named(folder):
    assert folder.begun_with() is None
    folder.write_plan({"stage": "a"})
    folder.write_manifest({"stage": "a", "rows": 3})
    assert folder.begun_with() == {"stage": "a", "rows": 3}
    folder.drop_manifest({"stage": "a"})
    assert folder.begun_with() == {"stage": "a"}
    (folder.path / "plan.json").write_text('{"stage": "b"}')
    with pytest.raises(DamagedError, match=r"plan\.json' is damaged: its content does not fit"):
        folder.begun_with()


def test_files_and_folders_beside_have_checksums_of_all_that_is_in_them(folder):
    folder.beside("a.txt").write_text("one")
    folder.beside("b").mkdir()
    (folder.beside("b") / "c.txt").write_text("two")
    first = folder.new_beside()
    assert sorted(first) == ["a.txt", "b"]
    assert folder.new_beside() == {}
    assert folder.checksums_beside() == first
    (folder.beside("b") / "c.txt").write_text("six")
    with pytest.warns(DamagedWarning, match="beside-b' is missing or damaged"):
        assert not folder.is_whole_beside("b", first["b"])
    assert folder.is_whole_beside("a.txt", first["a.txt"])
