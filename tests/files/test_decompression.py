"""Compressed files: whole ones read whole, and a file cut short is never taken for a whole one."""

import gzip
import io

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from leela_probe.files.decompression import DAMAGE, decompressed

TEXT = b"".join(b"%d is a number\n" % number for number in range(20_000))


def zstd(data):
    return zstandard.ZstdCompressor(level=3).compress(data)


ZSTD, GZIP = zstd(TEXT), gzip.compress(TEXT, mtime=0)


@pytest.mark.parametrize("packed", [TEXT, GZIP, ZSTD], ids=["-", "gz", "zst"])
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


@given(st.integers(5, len(ZSTD) - 1))
def test_a_zstandard_file_cut_anywhere_is_damaged(length):
    with pytest.raises(DAMAGE):
        decompressed(io.BytesIO(ZSTD[:length])).read()


@given(st.integers(5, len(GZIP) - 1))
def test_a_gzip_file_cut_anywhere_is_damaged(length):
    with pytest.raises(DAMAGE):
        decompressed(io.BytesIO(GZIP[:length])).read()


def test_lines_before_the_cut_are_given():
    stream = decompressed(io.BytesIO(ZSTD[: len(ZSTD) * 3 // 4]))
    lines = []
    with pytest.raises(EOFError, match="inside a zstandard frame"):
        lines.extend(iter(stream.readline, b""))
    whole = TEXT.splitlines(keepends=True)
    assert 100 < len(lines) < len(whole)
    assert lines == whole[: len(lines)]
