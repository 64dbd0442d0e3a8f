"""What a study is asked to do: two networks, puzzles, thresholds, and the folder it is kept in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import chess

from leela_probe.probing import recipes
from leela_probe.probing.recipes import Recipe
from leela_probe.puzzles import criteria as filter_criteria
from leela_probe.puzzles import partners
from leela_probe.puzzles.criteria import Criteria
from leela_probe.puzzles.partners import Search

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["PAPER_HEAD", "PAPER_HEADS", "PAPER_LAYERS", "Networks", "Study"]

PAPER_LAYERS, PAPER_HEADS = 15, 24
"""The shape of the network of Jenner et al. (2024), T82-768x15x24h."""

PAPER_HEAD = (12, 12)
"""The (layer, head) of that network which they found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What a study is of, and how it is done.

    Attributes:
        dump: the puzzles.
        strong: the file of the network whose look-ahead is in question.
        weak: the file of the network that must not see it.
        out: the folder for everything that is made.
        preset: "default", or "jenner2024": the paper's inputs, head and lists of heads.
        criteria: which puzzles are kept.
        search: what a corrupted partner has to be.
        head: (layer, head) whose pattern entries are ablated; None to choose it on half of the
            games (with the preset "jenner2024", the paper's where the network has its shape).
        share: least share of a head's attention that follows a piece's moves, for E4.
        limit: only the first so many rows of the dump.
        minimum: patterns with fewer puzzles are not shown on their own.
        resamples: bootstrap samples of games.
        random_networks: how many networks with random weights are probed as a control.
        epochs: passes over the puzzles that a probe takes, at most; None for the recipe's.
        seed: of every random step.
        batch_size: changed runs at once; None for as many as suit the device.
        workers: processes that feed the networks; None for one a core but one.
        device: where torch runs.
        dtype: what it computes in.
        strong_format: input format of the strong network; None for what its file says.
        weak_format: of the weak network.

    Example:
        >>> files = {"dump": "puzzles.csv.zst", "strong": "t82.pb.gz", "weak": "ld2.pb.gz"}
        >>> study = Study(out=Path("out"), **{name: Path(file) for name, file in files.items()})
        >>> study.table("residual.parquet").name
        'residual.parquet'
    """

    dump: Path
    strong: Path
    weak: Path
    out: Path
    preset: str = "default"
    criteria: Criteria = filter_criteria.PRESETS["default"]
    search: Search = partners.PRESETS["default"]
    head: tuple[int, int] | None = None
    share: float = 0.5
    limit: int | None = None
    minimum: int = 50
    resamples: int = 2000
    random_networks: int = 5
    epochs: int | None = None
    seed: int = 0
    batch_size: int | None = None
    workers: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    strong_format: int | None = None
    weak_format: int | None = None

    @property
    def recipe_name(self) -> str:
        """The name of the recipe that probes are made by."""
        return "jenner2024" if self.preset == "jenner2024" else "sound"

    @property
    def recipe(self) -> Recipe:
        """How probes are made."""
        named = recipes.PRESETS[self.recipe_name]
        return named if self.epochs is None else dataclasses.replace(named, epochs=self.epochs)

    def table(self, name: str) -> Path:
        """Where a table of the study lies, such as `residual.parquet` or `tables/heads.csv`."""
        return self.out / name


class Networks:
    """The two networks of a study, each loaded when it is first asked for.

    Args:
        study: names their files.
        load: loads one, given its file and `input_format`; `network.load` with device and dtype.
    """

    def __init__(self, study: Study, load: Callable[..., Network]) -> None:
        self._study, self._load = study, load
        self._strong: Network | None = None
        self._weak: Network | None = None

    @property
    def strong(self) -> Network:
        """The network whose look-ahead is in question."""
        if self._strong is None:
            self._strong = self._load(self._study.strong, input_format=self._study.strong_format)
        return self._strong

    @property
    def weak(self) -> Network:
        """The network that must not see it."""
        if self._weak is None:
            self._weak = self._load(self._study.weak, input_format=self._study.weak_format)
        return self._weak

    def has_wdl(self) -> bool:
        """Whether the strong network has probabilities of win, draw and loss."""
        return self.strong.evaluate([chess.Board()]).wdl is not None

    def has_papers_shape(self) -> bool:
        """Whether the strong network has the layers and heads of the paper's."""
        return (self.strong.layers, self.strong.heads) == (PAPER_LAYERS, PAPER_HEADS)
