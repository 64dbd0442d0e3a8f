"""Inputs that are damaged or made up: rows and files of puzzles, networks, FENs."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path

import chess
import pandas as pd
import zstandard
from fault_damage import garble
from fault_processes import Trial, ended
from fault_stages import World

from leela_probe.files import bundled
from leela_probe.positions import fen as fens
from leela_probe.puzzles import dumps, lichess


def _dump_lines(count: int) -> list[bytes]:
    return bundled.path("bundled:mates").read_bytes().splitlines()[: count + 1]


def _facts(puzzle: object) -> tuple[object, ...]:
    assert isinstance(puzzle, lichess.Puzzle)
    return puzzle.puzzle_id, puzzle.fen, puzzle.moves, puzzle.rating, puzzle.themes, puzzle.game_id


def rows(world: World, count: int, rng: random.Random) -> Iterator[Trial]:
    """A thousand rows, half of them mutated: what they are by Python's own readers."""
    for _ in range(count):
        seed = rng.getrandbits(32)
        yield Trial(
            kind="rows", name=f"seed {seed}", run=lambda folder, seed=seed: _rows(folder, seed)
        )


def _rows(folder: Path, seed: int) -> str:
    rng = random.Random(seed)
    lines = _dump_lines(1000)
    path = folder / "dump.csv"
    path.write_bytes(b"\n".join(lines))
    before = {puzzle.line: _facts(puzzle) for puzzle in lichess.read(path)}
    mutated = set()
    for number in range(1, len(lines)):
        if rng.random() < 0.5:
            garbled = garble(lines[number], rng, most=2)
            lines[number] = bytes(byte for byte in garbled if byte not in b"\r\n")
            mutated.add(number + 1)
    path.write_bytes(b"\n".join(lines))

    def check() -> None:
        found = {row.line: row for row in lichess.read(path)}
        for line, facts in before.items():
            row = found.get(line)
            if line in mutated:
                _check_mutated(lines[line - 1], row)
            elif row is None or _facts(row) != facts:
                raise AssertionError(f"line {line} was left alone and is {row}")

    end = ended(folder, check)
    return end.fault() or end.text[-300:] * bool(end.status)


def _check_mutated(data: bytes, row: object) -> None:
    """Hold a row against Python's own CSV reader and python-chess."""
    if not isinstance(row, lichess.Puzzle):
        return
    name, position, moves = next(csv.reader([data.decode()], strict=True))[:3]
    board = chess.Board(position)
    if row.puzzle_id != name or row.board().fen() != _played(board, moves.split()[0]).fen():
        raise AssertionError(f"{data!r} is read as {row}")
    for move in moves.split()[1:]:
        board.push(board.parse_uci(move))


def _played(board: chess.Board, move: str) -> chess.Board:
    board.push(board.parse_uci(move))
    return board


def dump_files(world: World, count: int, rng: random.Random) -> Iterator[Trial]:
    """Whole files garbled: every puzzle in them is a legal one, or the file is refused."""
    for _ in range(count):
        seed = rng.getrandbits(32)
        yield Trial(
            kind="dumps", name=f"seed {seed}", run=lambda folder, seed=seed: _dump(folder, seed)
        )


def _dump(folder: Path, seed: int) -> str:
    rng = random.Random(seed)
    text = b"\n".join(_dump_lines(60))
    form = rng.choice(["csv", "zst", "gz", "bz2", "parquet", "parquet"])
    path = folder / f"dump.{form}"
    if form == "parquet":
        pd.read_csv(io.BytesIO(text)).to_parquet(
            path, row_group_size=20, compression=rng.choice(["snappy", "zstd", None])
        )
        content = path.read_bytes()
    else:
        content = {
            "csv": lambda text: text, "zst": zstandard.compress, "gz": gzip.compress,
            "bz2": bz2.compress,
        }[form](text)  # fmt: skip
    path.write_bytes(garble(content, rng))

    def check() -> None:
        lichess.check_readable(path)
        dumps.count(path)
        for row in lichess.read(path):
            if isinstance(row, lichess.Puzzle):
                board = row.board()
                if not board.is_valid():
                    raise AssertionError(f"not a legal position: {row}")
                for move in row.principal_variation:
                    if move not in board.legal_moves:
                        raise AssertionError(f"not a legal line: {row}")
                    board.push(move)
            elif "\n" in row.reason:
                raise AssertionError(f"more than a line: {row.reason!r}")

    end = ended(folder, check)
    return end.fault() or ("AssertionError" in end.text) * end.text[-300:]


def fen_texts(world: World, count: int, rng: random.Random) -> Iterator[Trial]:
    """A thousand FENs mutated at a time: lc0 reads what is read here, and says the same board."""
    for _ in range(count):
        seed = rng.getrandbits(32)
        yield Trial(
            kind="fens", name=f"seed {seed}", run=lambda folder, seed=seed: _fens(folder, seed)
        )


def _fens(folder: Path, seed: int) -> str:
    rng = random.Random(seed)
    texts = [line.split(b",")[1].decode() for line in _dump_lines(1000)[1:]]
    signs = "pnbrqkPNBRQK12345678/ wb-KQkqabcdefgh~0\u00a09_+x"

    def check() -> None:
        for text in texts:
            place = rng.randrange(len(text))
            text = text[:place] + rng.choice(signs) * rng.choice([0, 1, 1, 2]) + text[place + 1 :]
            try:
                board = fens.board(text)
            except ValueError as error:
                if "\n" in str(error):
                    raise AssertionError(f"more than a line: {error}") from None
                continue
            if board.fen() != chess.Board(text).fen():
                raise AssertionError(f"{text!r} is read as {board.fen()}")
            _ask_lc0(text, board)

    end = ended(folder, check)
    return end.fault() or end.text[-300:] * bool(end.status)


def _ask_lc0(text: str, board: chess.Board) -> None:
    try:
        from lczero import backends
    except ImportError:
        return
    if not board.is_valid():
        return
    try:
        backends.GameState(fen=text)
    except Exception as error:
        raise AssertionError(f"lc0 refuses {text!r}: {error}") from None


def network_files(world: World, count: int, rng: random.Random) -> Iterator[Trial]:
    """Damaged network files: an answer or a refusal in one line."""
    world.prepare()
    for _ in range(count):
        seed = rng.getrandbits(32)

        def run(folder: Path, seed: int = seed) -> str:
            rng = random.Random(seed)
            form = rng.choice(["strong.pb.gz", "strong.onnx", "packed"])
            if form == "packed":  # damage below the compression, which has a checksum
                content = gzip.decompress((world.folder / "strong.pb.gz").read_bytes())
                path = folder / "n.pb.gz"
                path.write_bytes(gzip.compress(garble(content, rng), 1))
            else:
                path = folder / form.replace("strong", "n")
                content = (world.folder / form).read_bytes()
                head, tail = content[: rng.choice([2000, len(content)])], content
                path.write_bytes(garble(head, rng) + tail[len(head) :])
            end = ended(folder, ["eval", str(path), "--json", "--fen", chess.STARTING_FEN],
                        prepare=lambda: os.environ.update(XDG_CACHE_HOME=str(folder)))  # fmt: skip
            return end.fault()

        yield Trial(kind="networks", name=f"seed {seed}", run=run)
