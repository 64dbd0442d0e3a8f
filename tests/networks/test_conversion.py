"""Conversion by lc0's own leela2onnx: once for each content, complete or not at all."""

import gzip
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from leela_probe.files import disk
from leela_probe.files.unfinished import DamagedWarning
from leela_probe.networks import conversion, onnx_files
from leela_probe.networks.network import load
from leela_probe.weights import schema, weights_files


def test_the_converted_file_is_what_lc0_writes(network_file, tmp_path):
    source = network_file("attention")
    conversion.convert(source, tmp_path / "ours.onnx")
    subprocess.run(
        [
            str(conversion.find_lc0()),
            "leela2onnx",
            f"--input={source}",
            f"--output={tmp_path / 'theirs.onnx'}",
        ],
        check=True,
        capture_output=True,
    )
    ours, theirs = (onnx.load(tmp_path / f"{name}.onnx") for name in ("ours", "theirs"))
    assert ours.graph == theirs.graph


def test_what_onnx_leaves_out_is_noted_in_the_file(network_file, tmp_path):
    source = network_file("multihead", input_format=3)
    target = tmp_path / "net.onnx"
    conversion.convert(source, target, policy_head="soft", value_head="q")
    assert onnx_files.metadata(onnx.load(target)) == {
        "leela_probe.input_format": "3",
        "leela_probe.policy_head": "soft",
        "leela_probe.value_head": "q",
        "leela_probe.source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "leela_probe.lc0": conversion.lc0_version(conversion.find_lc0()),
    }


def test_a_relative_target_lands_where_the_user_is(network_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    conversion.convert(network_file("attention"), "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_a_relative_source_is_found(network_file, tmp_path, monkeypatch):
    shutil.copy(network_file("attention"), tmp_path / "net.pb.gz")
    monkeypatch.chdir(tmp_path)
    assert conversion.to_onnx("net.pb.gz", cache="kept").is_file()


def test_a_network_is_converted_once_whatever_its_name(network_file, tmp_path, monkeypatch):
    source = network_file("attention")
    other = tmp_path / "renamed.pb.gz"
    shutil.copy(source, other)
    first = conversion.to_onnx(source, cache=tmp_path / "kept")
    monkeypatch.setattr(conversion, "_converted", None)
    assert conversion.to_onnx(other, cache=tmp_path / "kept") == first
    assert disk.sha256(source) in first.name


def test_other_content_or_another_head_is_converted_anew(network_file, tmp_path):
    folder = tmp_path / "kept"
    made = {
        conversion.to_onnx(network_file("multihead"), cache=folder),
        conversion.to_onnx(network_file("multihead"), cache=folder, policy_head="soft"),
        conversion.to_onnx(network_file("multihead"), cache=folder, value_head="q"),
        conversion.to_onnx(network_file("multihead", seed=2), cache=folder),
    }
    assert len(made) == len(list(folder.iterdir())) == 4


def test_the_hash_of_a_file_is_that_of_hashlib(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(256)) * 10_000)
    assert disk.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_converted_networks_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *args, **more: str(tmp_path / "c"))
    assert conversion.cache_folder() == tmp_path / "c" / "networks"


def test_a_target_that_exists_is_kept_unless_told_otherwise(network_file, tmp_path):
    target = tmp_path / "net.onnx"
    target.write_text("precious")
    with pytest.raises(FileExistsError, match=r"net\.onnx exists already"):
        conversion.convert(network_file("attention"), target)
    assert target.read_text() == "precious"
    conversion.convert(network_file("attention"), target, overwrite=True)
    assert onnx.load(target).graph.node


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("net.pb.gz", ValueError, r"net\.pb\.gz would be an ONNX file: give it a name that ends"),
        (
            "net.txt",
            ValueError,
            r"net\.txt would be an ONNX file: give it a name that ends in \.onnx",
        ),
        ("itself.onnx", ValueError, r"itself\.onnx is the network to convert itself: name another"),
        ("no/net.onnx", FileNotFoundError, "the folder '.*no' is not there: make it first"),
    ],
)
def test_a_target_that_would_do_harm_is_refused(target, error, message, network_file, tmp_path):
    for name in ("net.pb.gz", "itself.onnx"):
        shutil.copy(network_file("attention"), tmp_path / name)
    source = tmp_path / ("itself.onnx" if "itself" in target else "net.pb.gz")
    with pytest.raises(error, match=message):
        conversion.convert(source, tmp_path / target, overwrite=True)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept == dict.fromkeys(
        ("net.pb.gz", "itself.onnx"), network_file("attention").read_bytes()
    )


def test_a_bundled_network_is_converted_by_its_name(tmp_path):
    conversion.convert("bundled:strong", tmp_path / "strong.onnx")
    assert onnx.load(tmp_path / "strong.onnx").graph.node


BANNER = "\x1b[1m\x1b[31m       _\n|   _ | |\n|_ |_ |_|\x1b[0m v0.32.1 built Jul 31 2026"


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("kill -SEGV $$", r"'winner'\): it was ended by SIGSEGV and gave no reason$"),
        ("exit 3", r"'winner'\): it ended with status 3 and gave no reason$"),
        ("echo 'Unhandled exception: No such thing' >&2; exit 1", r"'winner'\): No such thing$"),
    ],
)
def test_how_lc0_ended_is_said_without_its_banner(
    ending, message, network_file, tmp_path, monkeypatch
):
    program = tmp_path / "lc0"
    program.write_text(f"#!/bin/sh\necho '{BANNER}' >&2\n{ending}\n")
    program.chmod(0o755)
    monkeypatch.setattr(conversion, "find_lc0", lambda: program)
    with pytest.raises(ValueError, match=message):
        conversion.convert(network_file("attention"), tmp_path / "n.onnx")


def test_lc0_is_given_up_after_a_while(network_file, tmp_path, monkeypatch):
    program = tmp_path / "lc0"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(conversion, "find_lc0", lambda: program)
    monkeypatch.setattr(conversion, "_LONGEST", 0.2)
    with pytest.raises(ValueError, match=r"'winner'\): it was stopped after 0\.2 seconds$"):
        conversion.convert(network_file("attention"), tmp_path / "n.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["lc0"]


def flipped(content):
    return content[:3000] + bytes([content[3000] ^ 1]) + content[3001:]


@pytest.mark.parametrize("damage", [flipped, lambda c: c[:-1], lambda c: b"", lambda c: c + b"x"])
def test_a_damaged_file_in_the_cache_is_made_again_and_said_so(damage, network_file, tmp_path):
    source = network_file("attention")
    path = conversion.to_onnx(source, cache=tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.warns(DamagedWarning, match=r"the converted network .* is damaged: it is made"):
        net = load(source, cache=tmp_path)
    assert [kept.read_bytes() for kept in tmp_path.iterdir()] == [whole]
    assert net.path == source


def test_a_cached_network_of_another_source_is_not_believed(network_file, tmp_path):
    right, wrong = network_file("attention"), network_file("attention", seed=2)
    kept = conversion.to_onnx(right, cache=tmp_path)
    other = conversion.to_onnx(wrong, cache=tmp_path / "other")
    mixed_up = kept.with_name(
        other.name.replace(disk.sha256(wrong), disk.sha256(right))  # its content's hash is right
    )
    other.rename(mixed_up)
    kept.unlink()
    with pytest.warns(DamagedWarning, match="is damaged: it is made again"):
        assert conversion.to_onnx(right, cache=tmp_path) == kept
    assert not mixed_up.exists()


def test_another_lc0_converts_anew_and_without_one_any_will_do(network_file, tmp_path, monkeypatch):
    source, folder = network_file("attention"), tmp_path / "kept"
    first = conversion.to_onnx(source, cache=folder)
    monkeypatch.setattr(conversion, "lc0_version", lambda lc0: "0.33.0")
    second = conversion.to_onnx(source, cache=folder)
    assert "-0.33.0-" in second.name
    assert {path.name for path in folder.iterdir()} == {first.name, second.name}
    monkeypatch.setattr(shutil, "which", lambda *args, **more: None)
    assert conversion.to_onnx(source, cache=folder) in (first, second)


KILLED = """
import os, signal, sys
from leela_probe.networks import conversion
from leela_probe.networks import onnx_files
onnx_files.read = lambda path: os.kill(os.getpid(), signal.SIGKILL)
conversion.{call}
"""


@pytest.mark.parametrize(
    "call", ["convert(sys.argv[1], sys.argv[2] + '/n.onnx')",
             "to_onnx(sys.argv[1], cache=sys.argv[2])"]
)  # fmt: skip
def test_what_a_killed_conversion_left_is_removed(call, network_file, tmp_path):
    source = network_file("attention")
    process = subprocess.run(
        [sys.executable, "-c", KILLED.format(call=call), str(source), str(tmp_path)], check=False
    )
    assert process.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".converting-")
    conversion.to_onnx(source, cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    assert kept.suffix == ".onnx"


def test_what_a_conversion_killed_at_its_very_end_left_goes_with_the_refusal(
    network_file, tmp_path
):
    target = tmp_path / "n.onnx"
    conversion.convert(network_file("attention"), target)
    (tmp_path / ".converting-left").mkdir()
    with pytest.raises(FileExistsError, match="exists already"):
        conversion.convert(network_file("attention"), target)
    assert [path.name for path in tmp_path.iterdir()] == ["n.onnx"]


def test_a_conversion_is_on_disk_before_it_is_in_its_place(network_file, tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, name=name, call=call: (done.append(name), call(*args))[1]
        )
    conversion.to_onnx(network_file("attention"), cache=tmp_path)
    assert done[:2] == ["fsync", "replace"]


def test_relative_position_encoding_is_refused_before_lc0_sees_it(
    network_file, tmp_path, monkeypatch
):
    net = weights_files._load(network_file("attention"))
    schema.set_tensor(net, "encoder.0.mha.rpe_q", np.ones(64, np.float32))
    path = tmp_path / "bt5.pb.gz"
    path.write_bytes(gzip.compress(net.SerializeToString()))
    header = weights_files.read_header(path)
    assert header.relative_positions
    assert header.architecture is None
    assert header.undescribed == "it has relative position encoding, as BT5 networks have"
    monkeypatch.setattr(subprocess, "run", None)
    with pytest.raises(
        ValueError, match=r"bt5\.pb\.gz has relative position encoding, as BT5 netw"
    ):
        conversion.convert(path, tmp_path / "n.onnx")


def test_a_bomb_is_refused_before_lc0_sees_it(tmp_path, monkeypatch):
    path = tmp_path / "bomb.pb.gz"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    path.write_bytes(packer.compress(bytes(1 << 28)) + packer.flush())
    monkeypatch.setattr(conversion, "find_lc0", None)
    with pytest.raises(ValueError, match=r"bomb\.pb\.gz unpacks to more than 192 MB from"):
        conversion.convert(path, tmp_path / "n.onnx")
    (tmp_path / "bomb.onnx.gz").write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=r"bomb\.onnx\.gz unpacks to more than 192 MB from"):
        load(tmp_path / "bomb.onnx.gz")


def test_what_lc0_refuses_is_refused_in_its_words_and_leaves_nothing(network_file, tmp_path):
    with pytest.raises(ValueError, match=r"policy head 'psychic'.*does not exist in this net"):
        conversion.convert(network_file("attention"), tmp_path / "n.onnx", policy_head="psychic")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<html>not found</html>", "it is a web page"),
        (b"\x1f\x8b\x08\x00garbage", "damaged|cut off"),
    ],
)
def test_a_file_that_is_no_network_is_refused_before_lc0_sees_it(
    content, message, tmp_path, monkeypatch
):
    path = tmp_path / "bad.pb.gz"
    path.write_bytes(content)
    monkeypatch.setattr(conversion, "find_lc0", None)
    with pytest.raises(ValueError, match=message):
        conversion.to_onnx(path, cache=tmp_path / "kept")


def test_a_network_that_is_cut_off_is_refused(network_file, tmp_path):
    path = tmp_path / "cut.pb.gz"
    path.write_bytes(network_file("attention").read_bytes()[:50_000])
    with pytest.raises(ValueError, match=r"cut\.pb\.gz is cut off"):
        conversion.to_onnx(path, cache=tmp_path / "kept")


def test_without_lc0_the_error_says_what_to_install(network_file, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *args, **more: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'leela-probe\[lc0\]'.*lczero\.org"):
        conversion.to_onnx(network_file("attention"), cache=tmp_path)


def test_lc0_beside_this_python_comes_before_the_path(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"{path or 'PATH'}/{name}")
    assert conversion.find_lc0().parent != Path("PATH")
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if path else f"PATH/{name}")
    assert conversion.find_lc0() == Path("PATH/lc0")
