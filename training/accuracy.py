"""How often networks and simple rules find the certified moves: the tables of the model cards.

    python -m training.accuracy --strong strong.pb.gz --weak weak.pb.gz --held-out FOLDER
        [--dump lichess.csv] [--json accuracy.json]

The networks are read from the files that ship and asked through the package, as its users do.
Of Lichess puzzles those count that are certified here to be a mate in 1, or a mate in 2 with one
first move; no network is trained on any. Records of the domain `tactics` are also counted by what
experiments need: sacrifices, single replies, pieces ready for the third move.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.stats import binomtest

from leela_probe.networks import network as networks
from leela_probe.networks.network import Network
from leela_probe.puzzles import lichess
from leela_probe.puzzles.dumps import MalformedRow
from leela_probe.weights import random_networks
from leela_probe.weights.weights_files import read
from training import certificates, one_ply, records, tactics
from training.batches import Records
from training.records import MATE_IN_1, MATE_IN_2, MATE_IN_3

__all__ = ["Share", "main", "markdown", "of_dump", "shares"]

UNLIKELY = 0.05
_RULES = {"fewest replies": records.FEWEST_REPLIES, "greedy": records.GREEDY}
_RANDOM_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How often one player finds the certified move in one group of positions.

    Args:
        group: which positions.
        player: a network, or a rule; a rule with several moves takes one by lot.
        positions: how many there are.
        share: of those found; `low` and `high` are its 95 % Wilson interval.
    """

    group: str
    player: str
    positions: int
    share: float
    low: float
    high: float


def shares(
    found: np.ndarray, *, players: Mapping[str, Network], weak: str, source: str
) -> list[Share]:
    """How often each network and each rule finds the certified moves of mates in 1, 2 and 3.

    Args:
        found: records.
        players: the networks by name.
        weak: which of them says what counts as unlikely.
        source: what to call these positions.
    """
    mates = found[np.isin(found["kind"], (MATE_IN_2, MATE_IN_1, MATE_IN_3))]
    right = {
        name: np.array([_chance(record, bit) for record in mates]) for name, bit in _RULES.items()
    }
    chosen = one_ply.best(mates)
    strong = (mates["target"][:, : chosen.shape[1]] & records.STRONG) > 0
    right["the best of one ply"] = (chosen & strong).sum(axis=1) / chosen.sum(axis=1)
    right["a legal move by lot"] = np.array([_chance(record, 0) for record in mates])
    said = {name: _said(mates, player) for name, player in players.items()}
    right = {**{name: best for name, (best, _) in said.items()}, **right}
    two, three = mates["kind"] == MATE_IN_2, mates["kind"] == MATE_IN_3
    check = np.array([bool(records.moves(r, bits=records.STRONG | records.CHECK)) for r in mates])
    unlikely = said[weak][1] < UNLIKELY
    groups = {
        "mates in 2": two,
        "mates in 2, the first move gives check": two & check,
        "mates in 2, quiet first move": two & ~check,
        f"mates in 2, first move under {UNLIKELY:.0%} for {weak}": two & unlikely,
        "mates in 1": mates["kind"] == MATE_IN_1,
        "mates in 3": three,
        f"mates in 3, first move under {UNLIKELY:.0%} for {weak}": three & unlikely,
    }
    if "pattern" in (mates.dtype.names or ()):
        groups |= tactics.groups(mates)
    return [
        _share(f"{source}: {group}", player, every[inside])
        for group, inside in groups.items()
        if inside.any()
        for player, every in right.items()
    ]


def of_dump(dump: Path) -> tuple[np.ndarray, int]:
    """Records of a dump's certified mates, and how many had an en passant capture in the way."""
    certified, left_out = [], 0
    for row in lichess.read(dump):
        if isinstance(row, MalformedRow):
            continue
        board = row.board()
        mates = certificates.mates(board)
        if not mates.in_one and len(mates.in_two) != 1:
            continue
        try:
            certified.append(certificates.record(board))
        except ValueError:
            left_out += 1
    return np.array(certified, records.RECORD), left_out


def markdown(found: Sequence[Share]) -> str:
    """The shares as a table, a line for each group and a column for each player."""
    players = list(dict.fromkeys(share.player for share in found))
    lines = [
        "| positions | n | " + " | ".join(players) + " |",
        "|---" * (len(players) + 2) + "|",
    ]
    for group in dict.fromkeys(share.group for share in found):
        own = {share.player: share for share in found if share.group == group}
        cells = [
            f"{own[name].share:.1%} [{own[name].low:.1%}, {own[name].high:.1%}]" for name in players
        ]
        positions = own[players[0]].positions
        lines.append(f"| {group} | {positions:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(
    strong: Annotated[Path, typer.Option(help="weights file")],
    weak: Annotated[Path, typer.Option(help="weights file")],
    held_out: Annotated[Path, typer.Option(help="folder of held-out blocks")],
    dump: Annotated[Path | None, typer.Option(help="Lichess puzzles to try, too")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="where the numbers go")] = None,
) -> None:
    """Print the table of a pair of networks beside what simple rules find."""
    drawn = strong.with_name("random.pb.gz")
    players = {"strong": networks.load(strong), "weak": networks.load(weak)}
    random_networks.write(drawn, read(strong).architecture, seed=_RANDOM_SEED)
    try:
        players["random weights"] = networks.load(drawn)
    finally:
        drawn.unlink()
    blocks = Records(held_out)
    found = blocks.at(np.arange(len(blocks)))
    every = shares(found, players=players, weak="weak", source="held out")
    if dump is not None:
        certified, left_out = of_dump(dump)
        every += shares(certified, players=players, weak="weak", source="Lichess")
        print(f"{left_out} mates of {dump.name} left out: an en passant capture is possible")
    mates = found[found["kind"] == MATE_IN_2]
    under = (_said(mates, players["weak"])[1] < UNLIKELY).mean()
    print(f"weak gives under {UNLIKELY:.0%} to {under:.1%} of the first moves\n")
    print(markdown(every))
    if json_file is not None:
        content = {"weak_under_5_percent": float(under), "shares": [asdict(s) for s in every]}
        json_file.write_text(json.dumps(content, indent=1) + "\n")


def _said(found: np.ndarray, player: Network) -> tuple[np.ndarray, np.ndarray]:
    """Whether the likeliest move is certified, and the probability of certified moves in all."""
    evaluation = player.evaluate([records.board(record) for record in found])
    best, likely = np.zeros(len(found)), np.zeros(len(found))
    for row, record in enumerate(found):
        policy, wanted = evaluation.policy(row), set(records.moves(record, bits=records.STRONG))
        best[row] = max(policy, key=policy.__getitem__) in wanted
        likely[row] = sum(policy[move] for move in wanted)
    return best, likely


def _chance(record: np.void, bits: int) -> float:
    """How likely one of the moves with these bits, by lot, is certified."""
    tried = records.moves(record, bits=bits)
    wanted = set(records.moves(record, bits=records.STRONG))
    return sum(move in wanted for move in tried) / len(tried)


def _share(group: str, player: str, right: np.ndarray) -> Share:
    interval = binomtest(round(right.sum()), len(right)).proportion_ci(method="wilson")
    return Share(
        group=group,
        player=player,
        positions=len(right),
        share=float(right.mean()),
        low=float(interval.low),
        high=float(interval.high),
    )


if __name__ == "__main__":
    typer.run(main)
