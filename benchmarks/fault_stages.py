"""Crash points: every stage command, killed before one of its file operations and run again."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import chess
from fault_processes import Call, Ended, Operations, Trial, difference, digests, ended

import leela_probe.commands.registration
from leela_probe.experiments import attention_tables, effects, screen
from leela_probe.networks import activations, network
from leela_probe.organisms import calibration
from leela_probe.probing import stage as probing
from leela_probe.puzzles import corruptions, filters, pairs

LOADED = (leela_probe.commands.registration, screen, calibration, probing)
"""Modules that are here for the processes that are forked after they are loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A command whose run is disturbed, and how much of the crash points it gets."""

    name: str
    call: Call
    weight: float = 1.0


class World:
    """What trials share: inputs, a cache of converted networks, and undisturbed results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.undisturbed: dict[str, dict[str, str]] = {}
        self.operations: dict[str, int] = {}
        self.is_ready = False
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")

    def prepare(self) -> None:
        """Make the networks and tables that most trials begin with, once."""
        if self.is_ready:
            return
        self.is_ready = True
        effects._PAIRS_AT_ONCE = attention_tables._PAIRS_AT_ONCE = 1  # several parts of little work
        (filters.filter_puzzles.__kwdefaults__ or {})["chunk_rows"] = 2
        (corruptions.corrupt.__kwdefaults__ or {})["chunk_rows"] = 1
        self.run("random", "attention", "strong.pb.gz", "--seed", "1")
        self.run("random", "attention", "weak.pb.gz", "--seed", "2")
        self.run("convert", "strong.pb.gz", "strong.onnx")
        self.run("convert", "weak.pb.gz", "weak.onnx")
        self.run("eval", "bundled:planted", "--fen", chess.STARTING_FEN)
        self.run(*self.filtering("6"), "--out", "f.parquet")
        self.run(*self.corrupting("f.parquet"), "--out", "p.parquet")
        self.run("patch", "heads", *PLANTED, "--out", "e.parquet", "--limit", "6")
        self.run("patch", "heads", *PLANTED, "--out", "e.csv", "--limit", "6")

    def run(self, *arguments: str) -> Ended:
        """A command that has to work, in the shared folder."""
        end = ended(self.folder, arguments)
        if end.status != 0:
            raise RuntimeError(f"{' '.join(arguments)} ends with {end.status}: {end.text}")
        return end

    def file(self, name: str) -> str:
        """The path of a shared file."""
        return str(self.folder / name)

    def networks(self) -> tuple[str, ...]:
        """The options that name both networks."""
        return "--strong", self.file("strong.onnx"), "--weak", self.file("weak.onnx")

    def filtering(self, rows: str) -> tuple[str, ...]:
        """The filter's command line, with thresholds that all puzzles pass."""
        return ("filter", "bundled:mates", "--limit", rows, *self.networks(), "--workers", "0",
                "--max-weak-first", "1", "--min-strong-solver", "0", "--min-weak-reply",
                "0")  # fmt: skip

    def corrupting(self, puzzles: str) -> tuple[str, ...]:
        """The search's command line, with thresholds that many edits pass."""
        return ("corrupt", puzzles, *self.networks(), "--workers", "0", "--any-first-move",
                "--kinds", "remove", *WIDE)  # fmt: skip

    def stages(self) -> list[Stage]:
        """Every stage command, small."""
        patch = {
            "residual": ["--layers", "1"],
            "heads": ["--layers", "3"],
            "head-squares": ["--head", "3.3"],
            "entry": ["--head", "3.3"],
            "entries": ["--head", "3.3", "--entries", "a1:b1,a1:c1"],
            "head-sets": ["--sets", "3.3+1.2,1.1"],
            "piece-heads": [],
        }
        planted = self.folder
        return [
            Stage(name="filter csv", call=[*self.filtering("4"), "--out", "f.csv"]),
            Stage(name="filter parquet", call=[*self.filtering("4"), "--out", "f.parquet"]),
            Stage(
                name="corrupt", call=[*self.corrupting(self.file("f.parquet")), "--out", "p.csv"]
            ),
            *(
                Stage(
                    name=f"patch {sweep}",
                    call=["patch", sweep, *PLANTED, "--limit", "3", *more, "--out", "e.parquet"],
                )
                for sweep, more in patch.items()
            ),
            Stage(
                name="screen",
                call=[
                    "patch",
                    "heads",
                    *PLANTED,
                    "--limit",
                    "3",
                    "--screen",
                    "2",
                    "--out",
                    "s.csv",
                ],
            ),
            Stage(
                name="attention",
                call=[
                    "attention",
                    *PLANTED,
                    "--limit",
                    "3",
                    "--out",
                    "a.csv",
                    "--summary",
                    "s.csv",
                ],
            ),
            Stage(
                name="probe",
                call=[
                    "probe",
                    *PLANTED,
                    "--epochs",
                    "1",
                    "--folds",
                    "3",
                    "--resamples",
                    "99",
                    "--random-networks",
                    "0",
                    "--out",
                    "probes",
                ],
                weight=0.5,
            ),
            Stage(name="activations", call=lambda: write_activations(planted)),
            Stage(
                name="calibrate",
                call=["calibrate", "--out", "c", "--seeds", "1", "--puzzles", "10"],
                weight=0.3,
            ),
            Stage(
                name="reproduce",
                call=[
                    "reproduce",
                    "bundled:mates",
                    "--limit",
                    "8",
                    *self.networks(),
                    *WIDE,
                    "--workers",
                    "0",
                    "--max-weak-first",
                    "1",
                    "--min-strong-solver",
                    "0",
                    "--min-weak-reply",
                    "0",
                    "--resamples",
                    "99",
                    "--random-networks",
                    "0",
                    "--epochs",
                    "1",
                    "--out",
                    "study",
                ],
                weight=0.3,
            ),
            Stage(name="convert", call=["convert", self.file("strong.pb.gz"), "n.onnx"]),
            Stage(name="random", call=["random", "attention", "n.pb.gz"]),
        ]


PLANTED = ("bundled:planted-puzzles", "--network", "bundled:planted")
WIDE = ("--max-weak-drop", "5", "--min-value-drop", "0.0005", "--max-strong-first", "0.95",
        "--max-weak-divergence", "0.69")  # fmt: skip


def write_activations(folder: Path) -> None:
    """Keep activations of six positions, two in a file, below the current folder."""
    net = network.load(folder / "strong.onnx")
    boards = [pair.clean for pair in pairs.read("bundled:planted-puzzles")[:6]]
    activations.write(net, boards, ["policy.logits"], Path("activations"), batch_size=2)


# Crash points


def crash(world: World, count: int, rng: random.Random) -> Iterator[Trial]:
    """Every file operation of every stage, or as many of each as its share of the count allows."""
    world.prepare()
    stages = world.stages()
    share = count / sum(stage.weight for stage in stages)
    for stage in stages:
        log = world.folder / "operations.log"
        log.write_text("")
        same: dict[str, str] | None = None
        for number in range(2):
            work = world.folder / f"undisturbed-{stage.name}-{number}"
            work.mkdir()
            watcher = Operations(work, log=log if not number else None)
            end = ended(work, stage.call, prepare=watcher.watch)
            if end.status != 0:
                yield Trial(kind="crash", name=stage.name, run=lambda _, end=end: _undone(end))
                break
            found = digests(work)
            # what differs between two runs that nobody disturbs (times of day) is not compared
            same = found if same is None else {
                name: digest if found.get(name) == digest else "any"
                for name, digest in same.items()
            }  # fmt: skip
        else:
            assert same is not None
            total = len(log.read_text().splitlines())
            world.operations[stage.name] = total
            wanted = max(4, round(share * stage.weight))
            points = range(1, total + 1)
            if total > wanted:
                points = sorted(rng.sample(points, wanted))
            for point in points:
                yield Trial(
                    kind="crash",
                    name=f"{stage.name} before operation {point} of {total}",
                    run=lambda folder, stage=stage, point=point, same=same: _killed(
                        folder, stage.call, point, same
                    ),
                )


def _undone(end: Ended) -> str:
    return f"does not work undisturbed: status {end.status}, {end.text[-300:]}"


def _killed(folder: Path, call: Call, point: int, expected: dict[str, str]) -> str:
    first = ended(folder, call, prepare=Operations(folder, kill_before=point).watch)
    if first.status != -signal.SIGKILL:
        return f"was not killed: status {first.status}, {first.text[-200:]}"
    second = ended(folder, call)
    complete = "exists already" in second.text  # killed after its last word: nothing is left to do
    if second.fault() or (second.status and not complete):
        return f"does not go on: {second.fault() or second.text.strip()[-300:]}"
    return difference(
        {name: "any" if expected.get(name) == "any" else digest
         for name, digest in digests(folder).items()},
        expected,
    )  # fmt: skip
