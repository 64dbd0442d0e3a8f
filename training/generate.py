"""Blocks of certified records on disk, and certificates for the puzzles of a Lichess dump.

    python -m training.generate --out FOLDER --count N --seed S [--split held-out] [--threads T]
    python -m training.generate --from-dump FILE.csv [--out FOLDER]

What a dump's puzzles are goes to `certified.csv`; those that are mates go to `puzzles.csv`, with
lines that are certified, and to a block of records.

Blocks are `block-000000.npy` and so on, arrays of `records.RECORD`; those that are there already
are kept, so a run that was cut off goes on. `manifest.json` beside them says what they are made of.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import chess
import numpy as np

from leela_probe.files import disk
from leela_probe.puzzles import lichess
from training import arguments as arguments_of
from training import certificates, manifests, puzzle_lines, records
from training.certificates import Mix, Split

__all__ = ["BLOCK", "Certified", "Progress", "blocks", "certified", "main"]

BLOCK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the writing of blocks is.

    Args:
        done: records that are on disk, those found there included.
        total: records that are asked for.
        made: records made in this run.
        mates_in_two: unique mates in two among those.
        seconds: since this run began.
    """

    done: int
    total: int
    made: int
    mates_in_two: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What the search says of one puzzle, after its set-up move.

    Args:
        verdict: "mate in 1", "mate in 2" (one first move), "mate in 2, several first moves" or
            "no mate in 2".
        moves: the first moves of the fastest mate.
        agrees: whether the dump's own first move is one of them; where there are none, None.
    """

    puzzle_id: str
    fen: str
    verdict: str
    moves: tuple[str, ...]
    agrees: bool | None


def blocks(
    folder: Path,
    *,
    count: int,
    seed: int,
    split: Split = "train",
    mix: Mix | None = None,
    block_size: int = BLOCK,
    threads: int = 1,
) -> Iterator[Progress]:
    """Write blocks until the folder holds `count` records; says how far it is after each.

    Args:
        folder: made if it does not exist.
        count: the last block is shorter where `block_size` does not divide it.
        seed: the stream of blocks, as in `certificates.generate`.
        split: "train" or "held-out".
        mix: what in which proportions.
        block_size: records in a block.
        threads: blocks made at a time.

    Raises:
        FileExistsError: the folder holds blocks made in another way.
    """
    mix = Mix() if mix is None else mix
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, seed=seed, split=split, mix=mix, block_size=block_size)
    sizes = [min(block_size, count - start) for start in range(0, count, block_size)]
    missing = [i for i, size in enumerate(sizes) if not _is_there(_path(folder, i), size)]
    start = time.perf_counter()
    done, made, found = count - sum(sizes[i] for i in missing), 0, 0

    def make(index: int) -> tuple[int, int]:
        block = certificates.generate(
            seed=seed, block=index, count=sizes[index], split=split, mix=mix
        )
        _write(_path(folder, index), lambda file: np.save(file, block, allow_pickle=False))
        return sizes[index], int((block["kind"] == 0).sum())

    certificates.library()
    with ThreadPoolExecutor(threads) as pool:
        for size, mates in pool.map(make, missing):
            done, made, found = done + size, made + size, found + mates
            seconds = time.perf_counter() - start
            yield Progress(done=done, total=count, made=made, mates_in_two=found, seconds=seconds)


def certified(dump: Path) -> Iterator[Certified | lichess.MalformedRow]:
    """What the search says of every puzzle of a dump, in order; malformed rows as they are."""
    for row in lichess.read(dump):
        if isinstance(row, lichess.MalformedRow):
            yield row
            continue
        board = row.board()
        found = certificates.mates(board)
        if found.in_one:
            verdict = "mate in 1"
        elif len(found.in_two) == 1:
            verdict = "mate in 2"
        else:
            verdict = "mate in 2, several first moves" if found.in_two else "no mate in 2"
        moves = found.in_one or found.in_two
        yield Certified(
            puzzle_id=row.puzzle_id,
            fen=board.fen(),
            verdict=verdict,
            moves=tuple(map(chess.Move.uci, moves)),
            agrees=row.principal_variation[0] in moves if moves else None,
        )


def main() -> int:
    """The command: what was asked for on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.generate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    whole = arguments_of.positive
    parser.add_argument("--count", type=whole, metavar="N", help="records in all")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--split", choices=("train", "held-out"), default="train")
    parser.add_argument("--block-size", type=whole, default=BLOCK, metavar="N")
    parser.add_argument("--threads", type=whole, default=1, metavar="T")
    parser.add_argument("--from-dump", type=arguments_of.existing_file, metavar="FILE.csv")
    arguments = parser.parse_args()
    if arguments.from_dump is not None:
        return _certify(arguments.from_dump, arguments.out)
    if arguments.out is None or arguments.count is None:
        parser.error("expected --out and --count, or --from-dump")
    progress = None
    for progress in blocks(
        arguments.out,
        count=arguments.count,
        seed=arguments.seed,
        split=arguments.split,
        block_size=arguments.block_size,
        threads=arguments.threads,
    ):
        print(
            f"{progress.done:>12,} of {progress.total:,} records, "
            f"{progress.made / progress.seconds:,.0f} a second, "
            f"{progress.mates_in_two / progress.seconds:,.0f} unique mates in 2 a second",
            flush=True,
        )
    if progress is None:
        print(f"all {arguments.count:,} records are there already")
    return 0


def _certify(dump: Path, out: Path | None) -> int:
    rows: list[Certified] = []
    malformed = 0
    start = time.perf_counter()
    for row in certified(dump):
        if isinstance(row, lichess.MalformedRow):
            malformed += 1
            print(f"{dump}, line {row.line}: {row.reason}", file=sys.stderr)
        else:
            rows.append(row)
    seconds = time.perf_counter() - start
    for verdict, count in Counter(row.verdict for row in rows).most_common():
        agreeing = sum(row.agrees is True for row in rows if row.verdict == verdict)
        told = "" if verdict == "no mate in 2" else f", {agreeing:,} of them as in the dump"
        print(f"{count:>10,} {verdict}{told}")
    print(f"{malformed:>10,} malformed rows; {len(rows) / seconds:,.0f} puzzles a second")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["PuzzleId", "FEN", "Verdict", "Moves", "Agrees"])
        for row in rows:
            agrees = "" if row.agrees is None else int(row.agrees)
            table.writerow([row.puzzle_id, row.fen, row.verdict, " ".join(row.moves), agrees])
        _write(out / "certified.csv", lambda file: file.write(text.getvalue().encode()))
        print(f"written to {out / 'certified.csv'}")
        _write_mates(dump, out)
    return 0


def _write_mates(dump: Path, out: Path) -> None:
    """The certified mates of a dump as puzzles, and as a block of records to learn from."""
    manifests.claim(
        out / "manifest.json",
        {"dump": dump.name, "sha256": disk.sha256(dump)},
        content="records",
        pattern="block-*.npy",
    )
    puzzles: list[puzzle_lines.PuzzleLine] = []
    block = []
    dropped: Counter[str] = Counter()
    for row in lichess.read(dump):
        if isinstance(row, lichess.MalformedRow):
            continue
        found = certificates.mates(row.board())
        if not found.in_one and found.key is None:
            continue
        kind = "mate-in-1" if found.in_one else "mate-in-2"
        setup = chess.Move.from_uci(row.moves[0])
        made = puzzle_lines.of_position(chess.Board(row.fen), setup, seed=0, kind=kind)
        if isinstance(made, puzzle_lines.Dropped):
            dropped[f"no puzzle: {made.reason}"] += 1
        else:
            whose = {
                "name": row.puzzle_id,
                "rating": made.rating if row.rating is None else row.rating,
                "game": f"https://lichess.org/{row.game_id}" if row.game_id else "",
            }
            puzzles.append(replace(made, **whose))
        try:
            block.append(certificates.record(row.board(), game=len(block)))
        except ValueError:
            dropped["no record: an en passant capture is possible"] += 1
    count = puzzle_lines.write(out / "puzzles.csv", puzzles, seed=0)
    made_of = np.array(block, records.RECORD)
    _write(_path(out, 0), lambda file: np.save(file, made_of, allow_pickle=False))
    print(f"{count:>10,} puzzles written to {out / 'puzzles.csv'}")
    print(f"{len(made_of):>10,} records written to {_path(out, 0)}")
    for reason, number in sorted(dropped.items()):
        print(f"{number:>10,} mates make {reason}")


def _claim(folder: Path, **how: object) -> None:
    """Says in the folder what its blocks are, or that they are something else."""
    source = Path(certificates.__file__).with_name("mates.c").read_bytes()
    made_from = {
        **how,
        "mix": asdict(how["mix"]),  # type: ignore[call-overload]
        "record": records.RECORD.itemsize,
        "mates.c": hashlib.sha256(source).hexdigest(),
    }
    manifests.claim(folder / "manifest.json", made_from, content="blocks", pattern="block-*.npy")


def _path(folder: Path, index: int) -> Path:
    return folder / f"block-{index:06}.npy"


def _is_there(path: Path, size: int) -> bool:
    return path.exists() and np.load(path, mmap_mode="r").shape == (size,)


def _write(path: Path, content: Callable[[io.BufferedIOBase], object]) -> None:
    disk.write(path, content, temporary=path.with_name(f".{path.name}.tmp"))


if __name__ == "__main__":
    sys.exit(main())
