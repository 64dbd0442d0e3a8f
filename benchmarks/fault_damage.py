"""Damage to stages that are under way, to what they have written, and to what is cached."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import chess
import pyarrow
from fault_processes import Operations, Trial, difference, digests, ended
from fault_stages import PLANTED, World, write_activations

from leela_probe.files import store
from leela_probe.networks import activations


def flip(path: Path, rng: random.Random) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def garble(content: bytes, rng: random.Random, *, most: int = 8) -> bytes:
    """Bytes replaced, left out, repeated, put in or cut off, in some places."""
    found = bytearray(content)
    for _ in range(rng.randint(1, most)):
        place, length = rng.randrange(len(found) + 1), rng.choice([1, 1, 2, 4, 16, 200])
        change = rng.randrange(6)
        if change == 0:
            found[place : place + length] = rng.randbytes(len(found[place : place + length]))
        elif change == 1:
            del found[place : place + length]
        elif change == 2:
            found[place:place] = found[place : place + length]
        elif change == 3:
            found[place:place] = rng.randbytes(length)
        elif change == 4:
            found[place : place + length] = bytes(len(found[place : place + length]))
        elif rng.random() < 0.3:
            del found[place:]
    return bytes(found)


SCHEMA = pyarrow.schema(
    {"number": pyarrow.int64(), "square": pyarrow.float32(), "verdict": pyarrow.string(),
     "words": pyarrow.list_(pyarrow.string())}
)  # fmt: skip


def toy(
    name: str = "t.parquet", *, parts: int = 6, until: int = 99, overwrite: bool = False
) -> None:
    """A stage without networks, of so many parts; it ends by itself before the part `until`."""
    with store.Stage(
        name, name="squares", inputs={}, options={"parts": parts}, schema=SCHEMA,
        verdicts=["even", "odd"], overwrite=overwrite,
    ) as stage:  # fmt: skip
        if not stage.assembled:
            for chunk in stage.unfinished(range(40 * parts), size=40, total=40 * parts):
                if chunk.index >= until:
                    os._exit(0)
                rows = chunk.rows
                table = {
                    "number": rows,
                    "square": [row**2 / 7 for row in rows],
                    "verdict": [["even", "odd"][row % 2] for row in rows],
                    "words": [["a", str(row)] for row in rows],
                }
                stage.add(chunk, pyarrow.table(table, schema=SCHEMA))
        stage.finish()


def _resumed(folder: Path, name: str, expected: dict[str, str]) -> str:
    """The toy stage goes on to the same bytes, or is refused with a way out that works."""
    end = ended(folder, lambda: toy(name))
    if end.fault():
        return end.fault()
    if end.status:
        again = ended(folder, lambda: toy(name, overwrite=True))
        if again.fault() or again.status:
            return (
                f"refused ({end.text.strip()[-150:]}), and so with overwrite: {again.text[-150:]}"
            )
    return difference(digests(folder), expected)


def _unfinished_folder(folder: Path, name: str, rng: random.Random) -> list[Path]:
    """An unfinished toy stage; the files in its folder."""
    if rng.random() < 0.3:  # killed at some point, also while it joins its parts
        ended(folder, lambda: toy(name), prepare=Operations(
            folder, kill_before=rng.randint(20, 60)).watch)  # fmt: skip
    else:
        ended(folder, lambda: toy(name, until=rng.randint(1, 6)))
    return [path for path in store.partial_path(folder / name).glob("*") if path.is_file()]


def unfinished(world: World, count: int, rng: random.Random) -> Iterator[Trial]:
    """Damage of all kinds in the folder of an unfinished stage."""
    expected = {}
    for name in ("t.parquet", "t.csv"):
        work = world.folder / f"toy-{name}"
        work.mkdir()
        ended(work, lambda name=name: toy(name))
        expected[name] = digests(work)
    for _ in range(count):
        seed, name = rng.getrandbits(32), rng.choice([*expected])

        def run(folder: Path, seed: int = seed, name: str = name) -> str:
            rng = random.Random(seed)
            files = _unfinished_folder(folder, name, rng)
            for path in rng.sample(files, min(len(files), rng.choice([1, 1, 1, 2]))):
                _damage(path, files, rng)
            return _resumed(folder, name, expected[name])

        yield Trial(kind="unfinished", name=f"{name} seed {seed}", run=run)


def _damage(path: Path, files: Sequence[Path], rng: random.Random) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    change = rng.randrange(9)
    if change == 0:
        path.unlink()
    elif change == 1:
        path.write_bytes(b"")
    elif change == 2:
        path.write_bytes(content[: rng.randrange(len(content) + 1)])
    elif change == 3:
        path.write_bytes(rng.randbytes(rng.randint(1, 2000)))
    elif change == 4:
        path.write_bytes(rng.choice([b"null", b"{}", b"[]", b'"x"', b"1", b"[" * 5000]))
    elif change == 5:
        other = rng.choice(files)
        if other.exists():
            path.write_bytes(other.read_bytes())
    elif change == 6 and content:
        flip(path, rng)
    elif change == 7:
        path.with_name(f"part-{rng.randint(0, 9):06d}.arrow").write_bytes(content)
    else:
        path.write_bytes(garble(content, rng))


def flips(world: World, count: int, rng: random.Random) -> Iterator[Trial]:
    """Single bits, in parts, tables and the cache of converted networks."""
    world.prepare()
    cases = {"part": 0.4, "sweep's part": 0.1, "table": 0.35, "activations": 0.05, "cache": 0.1}
    work = world.folder / "toy-flips"
    work.mkdir()
    ended(work, lambda: toy())
    toys = digests(work)
    sweep = ["patch", "heads", *PLANTED, "--limit", "3", "--layers", "3", "--out", "e.parquet"]
    whole = world.folder / "flips-sweep"
    whole.mkdir()
    ended(whole, sweep)
    sweeps = digests(whole)
    said = {
        name: ended(world.folder, ["stats", "summary", name]).text
        for name in ("e.parquet", "e.csv")
    }
    question = ["eval", "bundled:planted", "--json", "--fen", chess.STARTING_FEN]
    answer = ended(world.folder, question).text

    def part(folder: Path, rng: random.Random) -> str:
        ended(folder, lambda: toy(until=5))
        flip(rng.choice(sorted((folder / "t.parquet.partial").glob("part-*.arrow"))), rng)
        return _resumed(folder, "t.parquet", toys)

    def sweep_part(folder: Path, rng: random.Random) -> str:
        for point in range(30, 4, -2):  # as late as there is one part at least
            if ended(folder, sweep, prepare=Operations(folder, kill_before=point).watch).status:
                break
            for path in folder.iterdir():
                path.unlink()
        parts = sorted(folder.glob("e.parquet.partial/part-*.arrow"))
        if parts:
            flip(rng.choice(parts), rng)
        end = ended(folder, sweep)
        return end.fault() or (end.text if end.status else difference(digests(folder), sweeps))

    def table(folder: Path, rng: random.Random) -> str:
        name = rng.choice([*said])
        for path in (world.folder / name, world.folder / f"{name}.manifest.json"):
            shutil.copy(path, folder)
        flip(folder / name, rng)
        end = ended(folder, ["stats", "summary", name])
        if end.fault() or (end.status and name not in end.text):
            return end.fault() or f"refused without its name: {end.text}"
        return "" if end.status or end.text == said[name] else "other numbers"

    def stored(folder: Path, rng: random.Random) -> str:
        ended(folder, lambda: write_activations(world.folder))
        files = sorted((folder / "activations").glob("*.safetensors"))
        flip(rng.choice(files), rng)

        def load() -> None:
            print(activations.read("activations").load("policy.logits").sum().item())

        end = ended(folder, load)
        return end.fault() or ("" if end.status else "read as if nothing had happened")

    def cache(folder: Path, rng: random.Random) -> str:
        shutil.copytree(world.folder / "cache", folder / "cache")
        files = [path for path in (folder / "cache").rglob("*") if path.is_file()]
        flip(rng.choice(files), rng)

        def elsewhere() -> None:
            os.environ["XDG_CACHE_HOME"] = str(folder / "cache")

        end = ended(folder, question, prepare=elsewhere)
        return end.fault() or ("" if answer in end.text else f"another answer: {end.text[-200:]}")

    runs = {"part": part, "sweep's part": sweep_part, "table": table, "activations": stored,
            "cache": cache}  # fmt: skip
    for name, weight in cases.items():
        for _ in range(max(1, round(count * weight))):
            seed = rng.getrandbits(32)
            yield Trial(
                kind="flips", name=f"{name}, seed {seed}",
                run=lambda folder, run=runs[name], seed=seed: run(folder, random.Random(seed)),
            )  # fmt: skip


def manifest_files(world: World, count: int, rng: random.Random) -> Iterator[Trial]:
    """Mutated manifests: their tables are refused, or read as ever."""
    world.prepare()
    said = ended(world.folder, ["stats", "summary", "e.parquet"]).text
    for _ in range(count):
        seed = rng.getrandbits(32)

        def run(folder: Path, seed: int = seed) -> str:
            rng = random.Random(seed)
            shutil.copy(world.folder / "e.parquet", folder)
            content = (world.folder / "e.parquet.manifest.json").read_bytes()
            beside = folder / "e.parquet.manifest.json"
            beside.write_bytes(
                rng.choice([b"", b"null", b"[]", b"{}", b"[" * 5000, b"\xff\xfe"])
                if rng.random() < 0.2
                else garble(content, rng)
            )
            end = ended(folder, ["stats", "summary", "e.parquet"])
            return end.fault() or ("" if end.status or end.text == said else "other numbers")

        yield Trial(kind="manifests", name=f"seed {seed}", run=run)
