"""Compressed files: whole ones read whole, and a file cut short is never taken for a whole one."""

import bz2
import gzip
import io
import lzma
import os
import threading
import tracemalloc
from collections import deque
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from leela_probe.files import decompression
from leela_probe.files.decompression import DamagedError, decompressed

TEXT = b"".join(b"%d is a number\n" % number for number in range(20_000))


def zstd(data):
    return zstandard.ZstdCompressor(level=3).compress(data)


ZSTD, GZIP, BZIP, XZ = (
    zstd(TEXT),
    gzip.compress(TEXT, mtime=0),
    bz2.compress(TEXT),
    lzma.compress(TEXT),
)


@pytest.mark.parametrize(
    "packed", [TEXT, GZIP, ZSTD, BZIP, XZ], ids=["-", "gz", "zst", "bz2", "xz"]
)
def test_whole_files_read_whole(packed):
    assert decompressed(io.BytesIO(packed)).read() == TEXT
    assert list(decompressed(io.BytesIO(packed))) == TEXT.splitlines(keepends=True)


def test_frames_one_after_the_other_read_as_one_file():
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"  # as pzstd puts between its frames
    packed = zstd(TEXT[:1000]) + skippable + zstd(b"") + zstd(TEXT[1000:])
    assert decompressed(io.BytesIO(packed)).read() == TEXT


@pytest.mark.parametrize("first", [0x50, 0x5A, 0x5F])
def test_a_zstandard_file_may_begin_with_a_frame_to_skip(first):
    skippable = bytes([first]) + b"\x2a\x4d\x18\x04\x00\x00\x00abcd"
    assert decompressed(io.BytesIO(skippable + zstd(TEXT))).read() == TEXT


def test_text_that_begins_like_a_frame_to_skip_is_text():
    for text in (b"\x60\x2a\x4d\x18", b"P*M", b"P"):
        assert decompressed(io.BytesIO(text)).read() == text


@pytest.mark.parametrize("pack", [zstd, gzip.compress, bz2.compress, lzma.compress])
def test_members_one_after_the_other_read_as_one_file(pack):
    packed = pack(TEXT[:1000]) + pack(b"") + pack(TEXT[1000:])
    assert decompressed(io.BytesIO(packed)).read() == TEXT


@pytest.mark.parametrize("packed", [GZIP, ZSTD, BZIP, XZ], ids=["gz", "zst", "bz2", "xz"])
@given(data=st.data())
def test_a_file_cut_anywhere_is_damaged(packed, data):
    length = data.draw(st.integers(6, len(packed) - 1))
    with pytest.raises(DamagedError, match="ends in the middle of what was compressed"):
        decompressed(io.BytesIO(packed[:length])).read()


@pytest.mark.parametrize("packed", [GZIP, ZSTD, BZIP, XZ], ids=["gz", "zst", "bz2", "xz"])
@given(data=st.data())
def test_a_flipped_bit_is_damage_or_changes_nothing(packed, data):
    place = data.draw(st.integers(6, len(packed) - 1))
    damaged = bytearray(packed)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(DamagedError):
        found = decompressed(io.BytesIO(bytes(damaged))).read()
        assert found == TEXT or packed is ZSTD  # these frames have no checksum


@pytest.mark.parametrize("packed", [TEXT, GZIP, ZSTD], ids=["-", "gz", "zst"])
def test_a_pipe_is_read_like_a_file(packed):
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as file:
            file.write(packed)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb") as file:
        assert decompressed(file).read() == TEXT
    thread.join()


def bomb(pack, size):
    return pack(bytes(1000) * (size // 1000))


@pytest.mark.parametrize("pack", [zstd, gzip.compress, bz2.compress], ids=["zst", "gz", "bz2"])
def test_a_bomb_is_refused_in_little_memory(pack, monkeypatch):
    packed = bomb(pack, 50_000_000)
    monkeypatch.setattr(decompression, "FREE", 1 << 22)
    tracemalloc.start()
    stream = decompressed(io.BytesIO(packed))
    with pytest.raises(DamagedError, match=r"bytes unpack to more than .*: no table does"):
        deque(iter(lambda: stream.read(1 << 16), b""), maxlen=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 << 20


def test_a_window_larger_than_zstd_itself_takes_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=28, write_content_size=False)
    packing = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packing.compress(TEXT) + packing.flush()
    with pytest.raises(DamagedError, match="too much memory"):
        decompressed(io.BytesIO(packed)).read()


def test_lines_before_the_cut_are_given():
    stream = decompressed(io.BytesIO(ZSTD[: len(ZSTD) * 3 // 4]))
    lines = []
    with pytest.raises(DamagedError, match="ends in the middle of what was compressed"):
        lines.extend(iter(stream.readline, b""))
    whole = TEXT.splitlines(keepends=True)
    assert 100 < len(lines) < len(whole)
    assert lines == whole[: len(lines)]
