"""The golden values of the paper's networks: what each check expects, what is found, pass or fail.

Values printed by public notebooks and pages for `lc0.onnx` and `LD2.onnx` (see `golden.json` beside
this file). What needs no network is checked without one. Stands on `experiments`, `networks`,
`puzzles` and `positions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chess
import numpy as np
import torch

from leela_probe.experiments import effects, sweeps
from leela_probe.networks import patching
from leela_probe.networks.interventions import Intervention, Zero
from leela_probe.networks.patching import Job
from leela_probe.positions.planes import History
from leela_probe.positions.squares import from_board
from leela_probe.puzzles import candidates, partners, patterns, plies
from leela_probe.puzzles.lichess import Row
from leela_probe.puzzles.pairs import Pair
from leela_probe.reproduction import summaries
from leela_probe.reproduction.study import PAPER_HEADS, PAPER_LAYERS

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["FAIL", "NOT_CHECKED", "PASS", "WHERE", "Check", "of_networks", "without_networks"]

PASS, FAIL, NOT_CHECKED = "pass", "fail", "not checked"

WHERE = (
    "The paper's networks are on Figshare: lc0.onnx is file 46473529 "
    "(https://ndownloader.figshare.com/files/46473529), LD2.onnx file 46473541."
)
"""How to get the files."""

_HEAD = (12, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One golden value, or several of one kind in one position.

    Attributes:
        group: what kind of value.
        name: of which position.
        state: `PASS`, `FAIL` or `NOT_CHECKED`.
        worst: the largest difference, in the unit of the tolerance; None where nothing is measured.
        tolerance: how large it may be; 0 for things that are equal or not.
        text: what came and what was expected, or why it was not checked.
    """

    group: str
    name: str
    state: str
    worst: float | None = None
    tolerance: float = 0.0
    text: str = ""


@cache
def _golden() -> dict[str, Any]:
    path = Path(__file__).with_name("golden.json")
    return dict(json.loads(path.read_text(encoding="utf-8")))


# Without a network


def without_networks() -> Iterator[Check]:
    """Candidate counts, published partners among the candidates, square mapping, patterns."""
    firsts = {_key(each["fen"]): each for each in _golden()["positions"]}
    for row in _golden()["candidates"]:
        position = firsts[_key(row["fen"])]
        board, first = _start(position), chess.Move.from_uci(_line(position)[0])
        made = list(candidates.changes(board))
        judged = [candidates.is_playable(board, change, first) for change in made]
        found = [len(made), sum(valid for valid, _ in judged), sum(legal for _, legal in judged)]
        yield _equal(
            "candidates: generated, valid, playable", row["id"],
            found, [row["total"], row["valid"], row["keep"]],
        )  # fmt: skip
        if "corrupted_fen" in position:
            wanted = _key(position["corrupted_fen"])
            every = {
                _key(candidates.changed(board, change).fen())
                for change, (_, legal) in zip(made, judged, strict=True)
                if legal
            }
            yield _equal("candidates: the published partner", row["id"], wanted in every, True)
    for colour, turned in (
        (chess.WHITE, lambda square: square),
        (chess.BLACK, chess.square_mirror),
    ):
        found = [from_board(square, colour) for square in chess.SQUARES]
        wanted_squares = [turned(square) for square in chess.SQUARES]
        name = "White" if colour else "Black"
        yield _equal("square mapping", f"{name} to move", found, wanted_squares)
    for position in _golden()["positions"]:
        if "set_label" in position:
            line = [chess.Move.from_uci(move) for move in position["pv"]]
            yield _equal(
                "pattern of targets", position["id"], patterns.label(line), position["set_label"]
            )


# With the networks


def of_networks(strong: Network | None, weak: Network | None) -> Iterator[Check]:
    """Everything that one or both of the networks are needed for.

    Args:
        strong: `lc0.onnx`, or None.
        weak: `LD2.onnx`, or None.
    """
    for network, role in ((strong, "strong"), (weak, "weak")):
        if network is None:
            yield _skipped(f"{role} network", "all of its values", f"no {role} network was given")
        else:
            yield from _probabilities(network, role)
    if strong is not None:
        yield from _strong(strong)
    if strong is None or weak is None:
        yield _skipped("chosen partners", "all", "it takes both networks")
    else:
        yield from _partners(strong, weak)


def _probabilities(network: Network, role: str) -> Iterator[Check]:
    history = History.JENNER2024_WEAK if role == "weak" else History.KNOWN
    for position in _golden()["positions"]:
        known = position.get(f"{role}_pv_probs")
        if known is None:
            continue
        board, boards, moves = _start(position), [], []
        for move in _line(position)[: len(known)]:
            boards.append(board.copy())
            moves.append(chess.Move.from_uci(move))
            board.push(moves[-1])
        answer = network.evaluate(boards, history=history)
        found = answer.probability(moves).tolist()
        yield _near(f"{role} network: moves of the solution", position["id"], found, known, 1e-4)
        wdl = position.get(f"{role}_wdl")
        if wdl is not None and answer.wdl is not None:
            found = answer.wdl[0].tolist()[: len(wdl)]
            yield _near(f"{role} network: win, draw, loss", position["id"], found, wdl, 1e-4)


def _strong(network: Network) -> Iterator[Check]:
    (demo,) = (each for each in _golden()["positions"] if each["id"] == "demo")
    for name, fen, policy, wdl in (
        ("clean", demo["fen"], demo["policy_pct"], demo["wdl_pct"]),
        ("corrupted", demo["corrupted_fen"], demo["corrupted_policy_pct"],
         demo["corrupted_wdl_pct"]),
    ):  # fmt: skip
        answer = network.evaluate([chess.Board(fen)])
        moves = [chess.Move.from_uci(move) for move in policy]
        found = [100 * answer.policy(0)[move] for move in moves]
        yield _near("running example: policy in %", name, found, list(policy.values()), 0.0051)
        if answer.wdl is not None:
            found = (100 * answer.wdl[0]).tolist()
            yield _near("running example: win, draw, loss in %", name, found, wdl, 0.0051)
    for row in _golden()["branches"]["rows"]:
        yield from _branches(network, row)
    if (network.layers, network.heads) != (PAPER_LAYERS, PAPER_HEADS):
        yield _skipped(
            "interventions", "all",
            f"{network.name!r} has {network.layers} layers of {network.heads} heads, and the "
            f"values are of {PAPER_LAYERS} layers of {PAPER_HEADS}",
        )  # fmt: skip
        return
    yield from _ablated(network, demo)
    pair = _pair(demo)
    table = effects.measure(network, [pair], sweeps.head_squares(network, *_HEAD))
    effect = dict(zip(table["square"], table["effect"], strict=True))
    rows = demo["patch_L12H12_output_per_square_logodds_reduction"]
    found = [float(effect[_square(name, pair)]) for name in rows]
    yield _near("output of head 12.12 patched, nats", "demo", found, list(rows.values()), 5e-4)
    pattern = network.capture([pair.clean], ["layer9.pattern"])["layer9.pattern"][0, 5]
    row = demo["attention_pattern_L9H5_query_f4_top"]
    found = [float(pattern[_square("f4", pair), _square(name, pair)]) for name in row]
    yield _near("attention of head 9.5 from f4", "demo", found, list(row.values()), 5e-5)
    yield from _residual(network)
    for each in _golden()["attribution"]["rows"]:
        yield _attribution(network, each)


def _branches(network: Network, row: Mapping[str, Any]) -> Iterator[Check]:
    for branch in ("A", "B"):
        board, boards, moves = chess.Board(row["fen"]), [], []
        for move in row[f"branch_{branch}"]:
            boards.append(board.copy())
            moves.append(chess.Move.from_uci(move))
            board.push(moves[-1])
        found = network.evaluate(boards).probability(moves).tolist()
        name = f"{row['id']}, branch {branch}"
        yield _near("two branches", name, found, row[f"probs_{branch}"], 1e-4)


def _ablated(network: Network, demo: Mapping[str, Any]) -> Iterator[Check]:
    pair, known = _pair(demo), demo["zero_ablate_L12H12_query_g6_key_h4"]
    encoded = network.encode([pair.clean])
    change = Intervention(
        site="layer12.pattern", action=Zero(), head=_HEAD[1], query=_square("g6", pair),
        key=_square("h4", pair),
    )  # fmt: skip
    outputs = patching.run(
        network, torch.from_numpy(encoded.planes()), [Job(board=0, interventions=(change,))]
    )
    logits = outputs.logits[0].numpy()[encoded.slots.astype(np.int64)]
    policy = torch.softmax(torch.from_numpy(logits), dim=0).tolist()
    by_move = dict(zip((move.uci() for move in encoded.moves[0]), policy, strict=True))
    found = [by_move[move] for move in known["policy"]]
    yield _near(
        "one attention entry zeroed: policy", "demo", found, list(known["policy"].values()), 5e-5
    )
    if outputs.value is not None and outputs.value.shape[1] == 3:
        found = torch.softmax(outputs.value[0], dim=0).tolist()
        yield _near(
            "one attention entry zeroed: win, draw, loss", "demo", found, known["wdl"], 1e-4
        )


def _residual(network: Network) -> Iterator[Check]:
    curves = _golden()["residual"]["by_iloc"]
    largest = _golden()["largest"]
    for position in _golden()["positions"]:
        iloc = str(position.get("iloc"))
        if iloc not in largest["by_iloc"]:
            continue
        pair = _pair(position)
        table = effects.measure(network, [pair], sweeps.residual(network))
        grid = np.full((network.layers, 64), np.nan)
        grid[table["layer"].to_numpy(np.int64), table["square"].to_numpy(np.int64)] = table[
            "effect"
        ]
        found = [float(np.nanmax(np.abs(grid[layer]))) for layer in largest["layers"]]
        yield _near(
            "residual stream: largest on any square, nats", position["id"], found,
            largest["by_iloc"][iloc], 0.0051,
        )  # fmt: skip
        squares = summaries.paper_squares(pair)
        if iloc in curves and squares is not None:
            for ours, theirs in (
                ("first", "1st"), ("third_and_later", "3rd_and_later"),
                ("corrupted", "corrupted"), ("other", "other_max"),
            ):  # fmt: skip
                found = grid[:, list(squares[ours])].max(axis=1).tolist()
                yield _near(
                    f"residual stream over layers: {ours.replace('_', ' ')}, nats",
                    position["id"], found, curves[iloc][theirs], 1e-3,
                )  # fmt: skip


def _attribution(network: Network, row: Mapping[str, Any]) -> Check:
    board = chess.Board(row["fen"])
    encoded = network.encode([board])
    held: list[torch.Tensor] = []

    def hold(pattern: torch.Tensor) -> torch.Tensor:
        held.append(pattern.detach().requires_grad_())
        return held[0]

    logits = network.run(
        torch.from_numpy(encoded.planes()),
        ["policy.logits"],
        edits={"layer12.pattern": hold},
        gradients=True,
    )["policy.logits"]
    slots = torch.from_numpy(encoded.slots.astype(np.int64)).to(logits.device)
    top = torch.softmax(logits[0, slots].float(), dim=0).max()
    (slope,) = torch.autograd.grad(top, held[0])
    values = (held[0] * slope).detach()[0, _HEAD[1]]
    found = []
    for name in row["values"]:
        key, query = (
            from_board(chess.parse_square(square), board.turn) for square in name.split("->")
        )
        found.append(float(values[query, key]))
    known = list(row["values"].values())
    return _near("attribution of head 12.12", row["fen"].split()[0], found, known, 1e-4)


def _partners(strong: Network, weak: Network) -> Iterator[Check]:
    search = partners.PRESETS["jenner2024"]
    view = plies.view(strong, search.strong_history)
    for position in _golden()["positions"]:
        if "corrupted_fen" not in position:
            continue
        if "fen_before" not in position:
            yield _skipped(
                "chosen partner", position["id"], "the position before the puzzle is not published"
            )
            continue
        moves = " ".join((position["setup"], *position["pv"]))
        prepared = partners.prepare(
            [Row(2, position["id"], position["fen_before"], moves)],
            search=search,
            weak_view=plies.view(weak, search.weak_history),
            strong_view=view,
        )
        (outcome,) = partners.find(
            prepared, strong=strong, weak=weak, search=search, strong_view=view, batch_size=256
        )
        chosen = outcome.partners[0].fen if outcome is not None and outcome.partners else ""
        yield _equal(
            "chosen partner", position["id"], _key(chosen), _key(position["corrupted_fen"])
        )


# What is compared


def _near(
    group: str, name: str, found: Sequence[float], known: Sequence[float], tolerance: float
) -> Check:
    differences = [abs(a - b) for a, b in zip(found, known, strict=True)]
    worst = max(differences)
    at = differences.index(worst)
    return Check(
        group=group,
        name=name,
        state=PASS if worst <= tolerance else FAIL,
        worst=worst,
        tolerance=tolerance,
        text=f"{len(known)} values; farthest off: {found[at]:.6g}, expected {known[at]:.6g}",
    )


def _equal(group: str, name: str, found: object, known: object) -> Check:
    same = found == known
    text = "as published" if same else f"got {found}, expected {known}"
    return Check(group=group, name=name, state=PASS if same else FAIL, text=text)


def _skipped(group: str, name: str, reason: str) -> Check:
    return Check(group=group, name=name, state=NOT_CHECKED, text=reason)


def _start(position: Mapping[str, Any]) -> chess.Board:
    """The position with the solver to move, and the position before it where that is known."""
    if "fen_before" not in position:
        return chess.Board(position["fen"])
    board = chess.Board(position["fen_before"])
    board.push_uci(position["setup"])
    return board


def _line(position: Mapping[str, Any]) -> tuple[str, ...]:
    """The solution; where the second move is not published the third stands in its place."""
    if "pv" in position:
        return tuple(position["pv"])
    third = position.get("third_move")
    return (position["first_move"], *((third, third) if third else ()))


def _pair(position: Mapping[str, Any]) -> Pair:
    return Pair(
        puzzle_id=position["id"],
        game_id=None,
        pattern=position.get("set_label", ""),
        clean_fen=position["fen"],
        line=_line(position),
        corrupted_fen=position["corrupted_fen"],
    )


def _square(name: str, pair: Pair) -> int:
    return int(from_board(chess.parse_square(name), pair.turn))


def _key(fen: str) -> str:
    """A position without its counters and rights, which the public prints give in several ways."""
    return " ".join(fen.split()[:2])
