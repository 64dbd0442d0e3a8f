"""The golden values of the paper's networks: pass, fail, or not checked for want of a network.

What needs no network is checked without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import chess

from leela_probe.golden import golden_checks as checks
from leela_probe.golden import golden_networks
from leela_probe.golden.golden_checks import Check
from leela_probe.positions.squares import from_board
from leela_probe.puzzles import candidates, target_patterns

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["WHERE", "of_networks", "without_networks"]

WHERE = (
    "The paper's networks are on Figshare: lc0.onnx is file 46473529 "
    "(https://ndownloader.figshare.com/files/46473529), LD2.onnx file 46473541 "
    "(https://ndownloader.figshare.com/files/46473541). Fetch them, then: "
    "leela-probe golden --strong lc0.onnx --weak LD2.onnx"
)
"""How to get the files."""


def without_networks() -> Iterator[Check]:
    """Candidate counts, published partners among the candidates, square mapping, patterns."""
    firsts = {checks.key(each["fen"]): each for each in checks.values()["positions"]}
    for row in checks.values()["candidates"]:
        position = firsts[checks.key(row["fen"])]
        board, first = checks.start(position), chess.Move.from_uci(checks.line(position)[0])
        made = list(candidates.edits(board))
        judged = [candidates.is_playable(board, change, first) for change in made]
        found = [len(made), sum(valid for valid, _ in judged), sum(legal for _, legal in judged)]
        yield checks.equal(
            "candidates: generated, valid, playable", row["id"],
            found, [row["total"], row["valid"], row["keep"]],
        )  # fmt: skip
        if "corrupted_fen" in position:
            wanted = checks.key(position["corrupted_fen"])
            every = {
                checks.key(candidates.edited(board, change).fen())
                for change, (_, legal) in zip(made, judged, strict=True)
                if legal
            }
            yield checks.equal(
                "candidates: the published partner", row["id"], wanted in every, True
            )
    yield from _branch_partners()
    for colour, turned in (
        (chess.WHITE, lambda square: square),
        (chess.BLACK, chess.square_mirror),
    ):
        found = [from_board(square, colour) for square in chess.SQUARES]
        wanted_squares = [turned(square) for square in chess.SQUARES]
        name = "White" if colour else "Black"
        yield checks.equal("square mapping", f"{name} to move", found, wanted_squares)
    for position in checks.values()["positions"]:
        if "set_label" in position:
            line = [chess.Move.from_uci(move) for move in position["pv"]]
            yield checks.equal(
                "pattern of targets",
                position["id"],
                target_patterns.label(line),
                position["set_label"],
            )


def _branch_partners() -> Iterator[Check]:
    """The published partners of positions with two branches leave both first moves legal."""
    for row in checks.values()["branches"]["rows"]:
        if row["corrupted_fen"] is None:
            continue
        board, wanted = chess.Board(row["fen"]), checks.key(row["corrupted_fen"])
        firsts = [chess.Move.from_uci(row[f"branch_{branch}"][0]) for branch in "AB"]
        found = any(
            checks.key(candidates.edited(board, change).fen()) == wanted
            and all(candidates.is_playable(board, change, first)[1] for first in firsts)
            for change in candidates.edits(board)
        )
        yield checks.equal("candidates: the partner of two branches", row["id"], found, True)


def of_networks(strong: Network | None, weak: Network | None) -> Iterator[Check]:
    """Everything that one or both of the networks are needed for.

    Args:
        strong: `lc0.onnx`, or None.
        weak: `LD2.onnx`, or None.
    """
    if strong is not None:
        yield from golden_networks.probabilities(strong, "strong")
        yield from golden_networks.of_strong(strong)
    else:
        yield from _missing("strong", "lc0.onnx (--strong)")
    if weak is not None:
        yield from golden_networks.probabilities(weak, "weak")
    else:
        yield from _missing("weak", "LD2.onnx (--weak)")
    if strong is not None and weak is not None:
        yield from golden_networks.chosen_partners(strong, weak)
    else:
        yield from _missing("both", "both networks (--strong, --weak)")


def _missing(role: str, what: str) -> Iterator[Check]:
    """What cannot be checked without a network, group by group."""
    for group, count in _counts(role).items():
        yield checks.skipped(group, "all of them", f"it takes {what}", count=count)


def _counts(role: str) -> dict[str, int]:
    """How many checks each group that takes the "strong", the "weak" or "both" networks has."""
    known = checks.values()
    positions = known["positions"]

    def having(name: str) -> int:
        return sum(each.get(name) is not None for each in positions)

    if role == "both":
        return {"chosen partner": having("corrupted_fen")}
    counts = {
        f"{role} network: moves of the solution": having(f"{role}_pv_probs"),
        f"{role} network: likeliest moves": having(f"{role}_top_moves"),
        f"{role} network: win, draw, loss": having(f"{role}_wdl"),
    }
    if role == "strong":
        ilocs = {str(each.get("iloc")) for each in positions}
        largest, curves = known["largest"], known["residual"]["by_iloc"]
        counts |= {
            "running example: policy in %": 2,
            "running example: win, draw, loss in %": 2,
            "two branches": 2 * len(known["branches"]["rows"]),
            "one attention entry zeroed: policy": 1,
            "one attention entry zeroed: win, draw, loss": 1,
            "one attention entry zeroed: log odds, nats": 1,
            "output of head 12.12 patched, nats": 1,
            "attention of head 9.5 from f4": 1,
            "residual stream: largest on any square, nats": len(ilocs & set(largest["by_iloc"])),
            "residual stream: square of the largest": len(ilocs & set(largest["squares"])),
            **{
                f"residual stream over layers: {name}, nats": len(ilocs & set(curves))
                for name in ("first", "third and later", "corrupted", "other")
            },
            "residual stream over all layers: targets of the tree of moves": having(
                "mean_over_15_layers_effect"
            ),
            "attribution of head 12.12": len(known["attribution"]["rows"]),
        }
    return {group: count for group, count in counts.items() if count}
