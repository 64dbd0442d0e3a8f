"""Gzipped files in memory: no more than their size can explain."""

import gzip
import os
import subprocess
import sys
import zlib

import pytest

from leela_probe.files import unpacking
from leela_probe.files.decompression import DamagedError
from leela_probe.files.unpacking import unpacked


@pytest.mark.parametrize("content", [b"", b"one two", os.urandom(3 << 20)])
def test_a_file_comes_back_whole_packed_or_not(content, tmp_path):
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed").write_bytes(gzip.compress(content))
    (tmp_path / "twice").write_bytes(gzip.compress(content) + gzip.compress(b"more"))
    assert unpacked(tmp_path / "plain") == content
    assert unpacked(tmp_path / "packed") == content
    assert unpacked(tmp_path / "twice") == content + b"more"


def test_what_grows_beyond_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "_FREE", 1 << 20)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(3 << 20)))
    with pytest.raises(DamagedError, match=r"bomb\.gz unpacks to more than 1 MB from [\d,]+ byt"):
        unpacked(path)
    content = os.urandom(4 << 20)
    path.write_bytes(gzip.compress(content))  # as noisy as weights are
    assert unpacked(path) == content


def test_a_plain_file_has_a_limit_too(tmp_path):
    (tmp_path / "plain").write_bytes(bytes(100))
    with pytest.raises(DamagedError, match=r"plain has 100 bytes: at most 99 are read"):
        unpacked(tmp_path / "plain", most=99)


def test_a_bomb_is_refused_in_little_memory(tmp_path):
    path = tmp_path / "bomb.pb.gz"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 24)
    path.write_bytes(b"".join(packer.compress(block) for _ in range(256)) + packer.flush())
    assert path.stat().st_size < 5 << 20
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from leela_probe.files.decompression import DamagedError\n"
        "from leela_probe.files.unpacking import unpacked\n"
        "try:\n    unpacked(Path(sys.argv[1]))\n"
        "except DamagedError:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) * (1 if sys.platform == "darwin" else 1024) < 1 << 30


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-5], lambda b: b[:-8] + b"12345678", lambda b: b + b"x"]
)
def test_a_damaged_stream_is_an_error(damage, tmp_path):
    (tmp_path / "x.gz").write_bytes(damage(gzip.compress(os.urandom(1000))))
    with pytest.raises(DamagedError, match=r"x\.gz is (cut off|damaged).*; get the file again"):
        unpacked(tmp_path / "x.gz")
