"""What every experiment makes of networks whose look-ahead is known.

An organism is a network with its truth: a planted one, or one in which there is nothing to find.
Each experiment's contrast (`contrasts`, which says which experiments have none) is tested at every
location, corrected for their number; on planted organisms that should find the planted locations
and no other, on the others it should reject no more often than at its level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from leela_probe.files import bundled, store
from leela_probe.files.progress import Progress
from leela_probe.files.store import Finished
from leela_probe.networks import network as networks
from leela_probe.networks.network import Network
from leela_probe.organisms import contrasts, planted, planted_puzzles, power
from leela_probe.organisms.contrasts import Contrast
from leela_probe.organisms.planted import Planted
from leela_probe.organisms.planted_puzzles import PlantedPuzzle
from leela_probe.statistics import comparisons, stats
from leela_probe.weights import random_networks
from leela_probe.weights.architectures import PRESETS

__all__ = [
    "NULL_PRESET",
    "SCHEMA",
    "UNKNOWN",
    "VERDICTS",
    "Organism",
    "calibrate",
    "judge",
    "organisms",
    "summary",
    "truth",
]

NULL_PRESET = "attention-no-smolgen"
"""The architecture of the networks with random weights."""

VERDICTS = ("found", "in part", "missed", "quiet", "alarm", "nothing", "something")
"""What an experiment made of an organism.

- `found`: the planted locations are the largest and significant, and no other is significant;
- `in part`: some of that; `missed`: no planted location is significant;
- `quiet`, `alarm`: there was nothing to find, and nothing or something is significant;
- `nothing`, `something`: that is significant, in a network whose truth is not known.
"""

UNKNOWN = "not known"
"""What is planted in a network that is not ours."""

_SHUFFLED = "shuffled"
_NULL_PUZZLES, _MOST_PUZZLES = 64, 64
_RESAMPLES = 999
_WEAK_SHARE = 0.2
_NAME, _NUMBER, _COUNT = pyarrow.string(), pyarrow.float64(), pyarrow.int32()
SCHEMA = pyarrow.schema(
    [
        ("organism", _NAME),
        ("seed", _COUNT),
        ("experiment", _NAME),
        ("planted", _NAME),  # the heads
        ("to_find", _NAME),  # the locations that this experiment should find
        ("significant", _NAME),  # those it did
        ("verdict", _NAME),
        ("locations", _COUNT),
        ("puzzles", _COUNT),
        ("first_move", _NUMBER),  # its median probability on the clean boards
        ("rank", _COUNT),  # of the worst planted location; missing where nothing is to find
        # what follows is of one location: the planted one with the largest p, else that with the
        # smallest of all
        ("location", _NAME),
        ("square_rank", _NUMBER),  # median rank of the target among the 64 squares
        ("effect", _NUMBER),  # planted minus placebo; nats, attention or halvings of its rank
        ("low", _NUMBER),  # 95 %; missing where too few puzzles differ
        ("high", _NUMBER),
        ("p", _NUMBER),  # corrected for the number of locations
        # of any location
        ("plain_p", _NUMBER),  # the smallest of all without a placebo: "there is an effect"
        ("power_draws", _COUNT),  # sets that each power is the share of
        *((f"power_{size}", _NUMBER) for size in power.SIZES),
        *((f"weak_power_{size}", _NUMBER) for size in power.SIZES),  # in 1 of 5 puzzles
    ]
)
"""The columns of a calibration: one row for each organism and experiment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organism:
    """A network to be calibrated on.

    Attributes:
        name: of its kind; organisms of one name differ by their seeds.
        seed: of its weights and its puzzles.
        path: an existing network file, or None for one that is written when it is needed.
    """

    name: str
    seed: int
    path: str | None = None


def organisms(
    *, seeds: int = 20, seed: int = 0, files: Mapping[str, str | Path] = MappingProxyType({})
) -> list[Organism]:
    """One of each planted kind, those with nothing to find, and further network files by name.

    Nothing is to find in `pattern`, which likes the first move for the knight alone, in `random`
    networks, in `shuffled`, which was trained on moves drawn by lot and meets other puzzles with
    every seed, and where a network of kind `single` meets puzzles made for no network
    (`unrelated`).

    Args:
        seeds: how many random networks; a quarter as many of the other three.
        seed: of the planted networks, and the first of the others.
        files: networks whose truth is not known.

    Raises:
        ValueError: if a file's name is one of ours.

    Example:
        >>> [organism.name for organism in organisms(seeds=1)]
        ['single', 'redundant', 'sequence', 'pattern', 'shuffled', 'unrelated', 'random']
    """
    ours = (*planted.KINDS, _SHUFFLED, "unrelated", "random")
    for name in files:
        if name in ours:
            raise ValueError(f"{name!r} is an organism already: give the network another name")
    fewer = range(seed, seed + (seeds + 3) // 4)
    shuffled = str(bundled.path(f"bundled:{_SHUFFLED}"))
    return [
        *(Organism(name=kind, seed=seed) for kind in planted.CONTINUATION),
        *(Organism(name="pattern", seed=each) for each in fewer),
        *(Organism(name=_SHUFFLED, seed=each, path=shuffled) for each in fewer),
        *(Organism(name="unrelated", seed=each) for each in fewer),
        *(Organism(name="random", seed=seed + number) for number in range(seeds)),
        *(Organism(name=name, seed=seed, path=str(path)) for name, path in files.items()),
    ]


def truth(made: Planted | None, experiment: str) -> tuple[str, ...]:
    """The locations that an experiment should find, by what is planted; empty for nothing.

    Args:
        made: what is planted, or None.
        experiment: one of `contrasts.EXPERIMENTS`.

    Raises:
        ValueError: if there is no such experiment.
    """
    if experiment not in contrasts.EXPERIMENTS:
        known = ", ".join(contrasts.EXPERIMENTS)
        raise ValueError(f"no experiment {experiment!r}: choose one of {known}")
    if made is None or not made.heads:
        return ()
    names = tuple(f"{layer}.{head}" for layer, head in made.heads)
    first, last = made.heads[0][0], made.heads[-1][0]
    return {
        # before the first head all depends on the third target, after the last on the first
        "residual third": tuple(map(str, range(first))),
        "residual first": tuple(map(str, range(last, planted.ARCHITECTURE.layers))),
        # between the two heads of a sequence it depends on the square between
        "residual other": tuple(map(str, range(first, last))),
        # of two redundant heads neither is missed alone
        "heads": () if made.kind == "redundant" else names,
        "joint": ("+".join(names),) if made.kind == "redundant" else (),
        # the way over a square between has no entry from the third to the first target
        "entry": names if made.kind == "single" else (),
        "complement": names if made.kind == "single" else (),
        "screen": names,
        **dict.fromkeys(
            ("attention", "attention rank", "attribution"),
            names if made.kind != "sequence" else (),
        ),
    }[experiment]


def judge(
    contrast: Contrast, to_find: Sequence[str] | None, *, with_power: bool = True, seed: int = 0
) -> dict[str, object]:
    """What one experiment found, as columns of `SCHEMA`.

    Args:
        contrast: of one experiment and network.
        to_find: from `truth`, or None if the truth is not known.
        with_power: also estimate the power, where there is something to find.
        seed: of resampling.
    """
    tests = _tests(contrast.table, "sign-flip", "greater", seed)
    order = list(contrast.locations)
    means, corrected = tests["estimate"].to_numpy(), tests["p_max_t"].fillna(1.0)
    significant = [name for name in order if corrected[name] <= power.LEVEL]
    true = [list(tests.index).index(name) for name in to_find or ()]
    rank = power.rank(means, true) if true else None
    if to_find:
        told = max(to_find, key=lambda name: (corrected[name], -tests["estimate"][name]))
    else:
        told = min(order, key=lambda name: (corrected[name], -abs(tests["estimate"][name])))
    one = contrast.table[contrast.table["location"] == told]
    interval = stats.summarise(one, by=["location"], resamples=_RESAMPLES, seed=seed).iloc[0]
    plain = _tests(contrast.plain, "bootstrap", "two-sided", seed)["p_max_t"].fillna(1.0)
    found: dict[str, object] = {
        "to_find": UNKNOWN if to_find is None else ", ".join(to_find) or "nothing",
        "significant": ", ".join(significant) or "nothing",
        "verdict": _verdict(to_find, set(significant), rank),
        "locations": len(order),
        "puzzles": contrast.table["puzzle_id"].nunique(),
        "rank": rank,
        "location": told,
        "square_rank": contrast.square_ranks.get(told),
        "effect": interval["estimate"],
        "low": interval["low"],
        "high": interval["high"],
        "p": float(corrected[told]),
        "plain_p": float(plain.min()),
    }
    if to_find and with_power:
        found["power_draws"] = power.DRAWS
        for prefix, share in (("", 1.0), ("weak_", _WEAK_SHARE)):
            for size in power.SIZES:
                found[f"{prefix}power_{size}"] = power.estimate(
                    contrast.table, to_find, size=size, share=share, seed=seed
                )
    return found


def _tests(table: pd.DataFrame, null: str, alternative: str, seed: int) -> pd.DataFrame:
    return comparisons.family(
        table,
        by=["location"],
        null=null,
        alternative=alternative,
        resamples=_RESAMPLES,
        seed=seed,
    ).set_index("location")


def _verdict(to_find: Sequence[str] | None, significant: set[str], rank: int | None) -> str:
    if to_find is None:
        return "something" if significant else "nothing"
    if not to_find:
        return "alarm" if significant else "quiet"
    if significant.isdisjoint(to_find):
        return "missed"
    return "found" if significant == set(to_find) and rank == len(to_find) else "in part"


def calibrate(
    folder: str | Path,
    wanted: Sequence[Organism],
    *,
    puzzles: int = 200,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
) -> Finished:
    """Every experiment of `contrasts.EXPERIMENTS` on all organisms; a run cut off goes on.

    The table is written to `calibration.parquet`.

    Args:
        folder: where the table goes, and the networks that are written.
        wanted: from `organisms`.
        puzzles: how many for each planted organism; the others get at most 64.
        overwrite: see `store.Stage`.
        progress: see `filters.filter_puzzles`.

    Raises:
        PlanChangedError: the table was made with other settings; see `store.Stage`.
        ValueError: for fewer than 10 puzzles.

    Example:
        >>> import leela_probe as lp
        >>> import tempfile
        >>> null = lp.known_networks(seeds=1)[-1:]  # random weights: nothing is to be found
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = lp.calibrate(folder, null, puzzles=10)
        >>> done.rows > 0
        True
    """
    if puzzles < power.SIZES[0]:
        raise ValueError(f"{puzzles} puzzles: no interval is possible below {power.SIZES[0]}")
    folder = Path(folder)
    with store.Stage(
        folder / "calibration.parquet",
        name="calibrate",
        inputs={each.name: each.path for each in wanted if each.path is not None},
        options={
            "organisms": [[each.name, each.seed] for each in wanted],
            "puzzles": puzzles,
            "null_preset": NULL_PRESET,
            "level": power.LEVEL,
        },
        schema=SCHEMA,
        verdicts=VERDICTS,
        overwrite=overwrite,
        progress=progress,
    ) as stage:
        if not stage.assembled:
            for chunk in stage.unfinished(wanted, size=1, total=len(wanted)):
                rows = _rows(folder, chunk.rows[0], puzzles)
                stage.add(chunk, pyarrow.Table.from_pylist(rows, schema=SCHEMA))
        return stage.finish()


def _rows(folder: Path, organism: Organism, count: int) -> list[dict[str, object]]:
    loaded, made = _open(folder, organism)
    if made is None or not made.heads:
        count = min(count, _NULL_PUZZLES)
    puzzles = planted_puzzles.make(made, count, seed=organism.seed)
    found = contrasts.measure(loaded, puzzles, most=_MOST_PUZZLES)
    said = _planted(organism, made)
    first_move = _first_move(loaded, puzzles)
    return [
        {
            "organism": organism.name,
            "seed": organism.seed,
            "experiment": experiment,
            "planted": said,
            "first_move": first_move,
        }
        | judge(
            contrast,
            None if said == UNKNOWN else truth(made, experiment),
            seed=organism.seed,
        )
        for experiment, contrast in found.items()
    ]


def _planted(organism: Organism, made: Planted | None) -> str:
    if made is not None:
        return made.description
    return "nothing" if organism.path is None or organism.name == _SHUFFLED else UNKNOWN


def _first_move(network: Network, puzzles: Sequence[PlantedPuzzle]) -> float:
    """The median probability of the first move on the clean boards."""
    answers = network.evaluate([puzzle.planted.clean for puzzle in puzzles])
    return float(
        np.median([answers.policy(i)[each.planted.moves[0]] for i, each in enumerate(puzzles)])
    )


def _open(folder: Path, organism: Organism) -> tuple[Network, Planted | None]:
    if organism.path is not None:
        return networks.load(organism.path), None
    path = folder / f"{organism.name}-{organism.seed}.pb.gz"
    if organism.name == "unrelated":
        planted.write(path, "single", seed=organism.seed)
        return networks.load(path), None
    if organism.name in planted.KINDS:
        made = planted.write(path, organism.name, seed=organism.seed)
        return networks.load(path), made
    random_networks.write(path, PRESETS[NULL_PRESET], seed=organism.seed)
    return networks.load(path), None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alarms:
    """Rejections among networks, with Clopper and Pearson's 95 % interval of their rate."""

    networks: int
    rejections: int
    rate: float
    rate_low: float
    rate_high: float
    plain_rejections: int


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each kind of organism and experiment, seeds taken together.

    Args:
        table: with the columns of `SCHEMA`.

    Returns:
        organism, experiment, planted, to_find, first_move, rank, locations, location, square_rank,
        effect, low, high, p (of the first seed; missing where there are several), power_draws,
        power_..., weak_power_..., and over all seeds:
        networks, rejections, rate with rate_low and rate_high (95 %, exact binomial) and
        plain_rejections, the rejections of "there is no effect at all".
    """
    kept = [
        "organism", "experiment", "planted", "to_find", "verdict", "first_move", "rank",
        "locations", "location", "square_rank", "effect", "low", "high", "p",
        *(n for n in SCHEMA.names if "power_" in n),
    ]  # fmt: skip
    own = [
        "verdict", "first_move", "rank", "location", "square_rank", "effect", "low", "high", "p",
    ]  # fmt: skip
    rows = []
    for _, group in table.groupby(["organism", "experiment"], sort=False):
        first: dict[str, object] = {name: group.iloc[0][name] for name in kept}
        if len(group) > 1:
            counts = group["verdict"].value_counts()
            first |= dict.fromkeys(own)
            first["verdict"] = ", ".join(f"{n} {name}" for name, n in counts.items())
        rows.append(first | asdict(_alarms(group)))
    return pd.DataFrame(rows)


def _alarms(group: pd.DataFrame) -> _Alarms:
    from scipy.stats import binomtest

    rejected = int((group["significant"] != "nothing").sum())
    test = binomtest(rejected, len(group)).proportion_ci(method="exact")
    return _Alarms(
        networks=len(group),
        rejections=rejected,
        rate=rejected / len(group),
        rate_low=float(test.low),
        rate_high=float(test.high),
        plain_rejections=int((group["plain_p"] <= power.LEVEL).sum()),
    )
