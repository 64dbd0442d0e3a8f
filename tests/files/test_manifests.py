"""Manifests say what a file was made from, and notice when it or they are not what they were."""

import pytest

from leela_probe.files import manifests
from leela_probe.files.manifests import DamagedError


def written(folder, **more):
    path = folder / "t.csv"
    path.write_text("a\n1\n")
    content = {"stage": "x", "output": manifests.file_facts(path), **more}
    manifests.write(manifests.manifest_path(path), content)
    return path, content


def test_what_is_written_is_read(tmp_path):
    path, content = written(tmp_path, counts={"é": 1, "none": None}, numbers=[0.1, 1e300])
    assert manifests.read(manifests.manifest_path(path)) == content
    assert manifests.check(path) == content


def test_every_changed_digit_of_a_manifest_is_noticed(tmp_path):
    path, _ = written(tmp_path, counts={"kept": 123})
    beside = manifests.manifest_path(path)
    text = beside.read_text()
    for place in range(text.index('"bytes"'), text.index("checksum") - 1):
        if text[place] in "0123456789abcdef":
            other = "7" if text[place] != "7" else "8"
            beside.write_text(text[:place] + other + text[place + 1 :])
            with pytest.raises(DamagedError, match="its content does not fit its checksum"):
                manifests.read(beside)


def test_a_table_is_renamed_together_with_its_manifest(tmp_path):
    path, _ = written(tmp_path)
    beside = manifests.manifest_path(path)
    beside.write_text(beside.read_text().replace("t.csv", "other.csv"))
    beside.rename(tmp_path / "other.csv.manifest.json")
    path.rename(tmp_path / "other.csv")
    assert manifests.check(tmp_path / "other.csv") is not None


def test_a_changed_file_is_refused_by_name_with_the_way_out(tmp_path):
    path, _ = written(tmp_path)
    path.write_text("a\n2\n")
    with pytest.raises(DamagedError, match=r"t\.csv' is damaged: .* or delete the manifest if it"):
        manifests.check(path)
    manifests.manifest_path(path).unlink()
    assert manifests.check(path) is None


@pytest.mark.parametrize("content", ["", "null", "[]", "{", '"a"', '{"stage": "x"}'])
def test_a_damaged_manifest_is_named(tmp_path, content):
    path, _ = written(tmp_path)
    manifests.manifest_path(path).write_text(content)
    with pytest.raises(DamagedError, match=r"t\.csv\.manifest\.json' is damaged"):
        manifests.check(path)


def test_somebody_else_s_file_of_that_name_says_nothing(tmp_path):
    path, _ = written(tmp_path)
    manifests.manifest_path(path).write_text('{"package": "theirs"}')
    assert manifests.check(path) is None


def test_differences_are_named_by_their_place():
    earlier = {"a": {"b": 1, "c": [1]}, "d": None}
    assert list(manifests.differences(earlier, {"a": {"b": 2, "c": [1]}, "e": "x"})) == [
        "a.b was 1 and is 2 now",
        'e was null and is "x" now',
    ]
