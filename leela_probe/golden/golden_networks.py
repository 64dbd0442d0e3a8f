"""What is checked of the paper's networks against the golden values, one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import chess
import numpy as np
import torch

from leela_probe.experiments import effects, sweeps
from leela_probe.golden import golden_checks as checks
from leela_probe.golden.golden_checks import Check
from leela_probe.networks import patching
from leela_probe.networks.interventions import Intervention, Zero
from leela_probe.networks.patching import Job
from leela_probe.positions.planes import History
from leela_probe.positions.squares import NetSquare, from_board, to_board
from leela_probe.puzzles import partners, plies
from leela_probe.puzzles.dumps import Row
from leela_probe.study import paper_squares
from leela_probe.study.study import PAPER_HEADS, PAPER_LAYERS

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["attribution", "chosen_partners", "of_strong", "probabilities"]

_HEAD = (12, 12)


def probabilities(network: Network, role: str) -> Iterator[Check]:
    """What the "strong" or the "weak" network says of the published solutions."""
    history = History.JENNER2024_WEAK if role == "weak" else History.KNOWN
    for position in checks.values()["positions"]:
        known = position.get(f"{role}_pv_probs")
        if known is None:
            continue
        board, boards, moves = checks.start(position), [], []
        for move in checks.line(position)[: len(known)]:
            boards.append(board.copy())
            moves.append(chess.Move.from_uci(move))
            board.push(moves[-1])
        answer = network.evaluate(boards, history=history)
        found = answer.probability(moves).tolist()
        yield checks.near(
            f"{role} network: moves of the solution", position["id"], found, known, 1e-4
        )
        tops = position.get(f"{role}_top_moves")
        if tops is not None:
            policies = [answer.policy(row) for row in range(len(boards))]
            best = [max(policy, key=policy.__getitem__).uci() for policy in policies]
            yield checks.equal(f"{role} network: likeliest moves", position["id"], best, tops)
        wdl = position.get(f"{role}_wdl")
        if wdl is not None and answer.wdl is not None:
            found = answer.wdl[0].tolist()[: len(wdl)]
            yield checks.near(f"{role} network: win, draw, loss", position["id"], found, wdl, 1e-4)


def of_strong(network: Network) -> Iterator[Check]:
    """The running example, two branches, interventions and gradients."""
    (demo,) = (each for each in checks.values()["positions"] if each["id"] == "demo")
    for name, fen, policy, wdl in (
        ("clean", demo["fen"], demo["policy_pct"], demo["wdl_pct"]),
        ("corrupted", demo["corrupted_fen"], demo["corrupted_policy_pct"],
         demo["corrupted_wdl_pct"]),
    ):  # fmt: skip
        answer = network.evaluate([chess.Board(fen)])
        moves = [chess.Move.from_uci(move) for move in policy]
        found = [100 * answer.policy(0)[move] for move in moves]
        yield checks.near(
            "running example: policy in %", name, found, list(policy.values()), 0.0051
        )
        if answer.wdl is not None:
            found = (100 * answer.wdl[0]).tolist()
            yield checks.near("running example: win, draw, loss in %", name, found, wdl, 0.0051)
    for row in checks.values()["branches"]["rows"]:
        yield from _branches(network, row)
    if (network.layers, network.heads) != (PAPER_LAYERS, PAPER_HEADS):
        yield checks.skipped(
            "interventions", "all",
            f"{network.name!r} has {network.layers} layers of {network.heads} heads, and the "
            f"values are of {PAPER_LAYERS} layers of {PAPER_HEADS}",
        )  # fmt: skip
        return
    yield from _ablated(network, demo)
    pair = checks.pair(demo)
    table = effects.measure(network, [pair], sweeps.head_squares(network, *_HEAD))
    effect = dict(zip(table["square"], table["effect"], strict=True))
    rows = demo["patch_L12H12_output_per_square_logodds_reduction"]
    found = [float(effect[checks.square(name, pair)]) for name in rows]
    yield checks.near(
        "output of head 12.12 patched, nats", "demo", found, list(rows.values()), 5e-4
    )
    pattern = network.capture([pair.clean], ["layer9.pattern"])["layer9.pattern"][0, 5]
    row = demo["attention_pattern_L9H5_query_f4_top"]
    found = [float(pattern[checks.square("f4", pair), checks.square(name, pair)]) for name in row]
    yield checks.near("attention of head 9.5 from f4", "demo", found, list(row.values()), 5e-5)
    yield from _residual(network)
    yield from _tree(network)
    for each in checks.values()["attribution"]["rows"]:
        yield attribution(network, each)


def _branches(network: Network, row: Mapping[str, Any]) -> Iterator[Check]:
    for branch in ("A", "B"):
        board, boards, moves = chess.Board(row["fen"]), [], []
        for move in row[f"branch_{branch}"]:
            boards.append(board.copy())
            moves.append(chess.Move.from_uci(move))
            board.push(moves[-1])
        found = network.evaluate(boards).probability(moves).tolist()
        name = f"{row['id']}, branch {branch}"
        yield checks.near("two branches", name, found, row[f"probs_{branch}"], 1e-4)


def _ablated(network: Network, demo: Mapping[str, Any]) -> Iterator[Check]:
    pair, known = checks.pair(demo), demo["zero_ablate_L12H12_query_g6_key_h4"]
    encoded = network.encode([pair.clean])
    change = Intervention(
        site="layer12.pattern", action=Zero(), head=_HEAD[1], query=checks.square("g6", pair),
        key=checks.square("h4", pair),
    )  # fmt: skip
    outputs = patching.run(
        network, torch.from_numpy(encoded.planes()), [Job(board=0, interventions=(change,))]
    )
    logits = outputs.logits[0].numpy()[encoded.slots.astype(np.int64)]
    policy = torch.softmax(torch.from_numpy(logits), dim=0).tolist()
    by_move = dict(zip((move.uci() for move in encoded.moves[0]), policy, strict=True))
    found = [by_move[move] for move in known["policy"]]
    yield checks.near(
        "one attention entry zeroed: policy",
        "demo",
        found,
        list(known["policy"].values()),
        5e-5,
    )
    if outputs.value is not None and outputs.value.shape[1] == 3:
        found = torch.softmax(outputs.value[0], dim=0).tolist()
        yield checks.near(
            "one attention entry zeroed: win, draw, loss", "demo", found, known["wdl"], 1e-4
        )

    table = effects.measure(network, [pair], sweeps.entry(network, *_HEAD))
    (row,) = table[table["label"] == "3->1"].to_dict("records")
    found = [row["clean"], row["changed"], row["effect"]]
    clean, changed = known["log_odds"]
    yield checks.near(
        "one attention entry zeroed: log odds, nats", "demo", found,
        [clean, changed, clean - changed], 5e-4,
    )  # fmt: skip


def _residual(network: Network) -> Iterator[Check]:
    curves = checks.values()["residual"]["by_iloc"]
    largest = checks.values()["largest"]
    for position in checks.values()["positions"]:
        iloc = str(position.get("iloc"))
        if iloc not in largest["by_iloc"]:
            continue
        pair = checks.pair(position)
        table = effects.measure(network, [pair], sweeps.residual(network))
        grid = np.full((network.layers, 64), np.nan)
        grid[table["layer"].to_numpy(np.int64), table["square"].to_numpy(np.int64)] = table[
            "effect"
        ]
        found = [float(np.nanmax(np.abs(grid[layer]))) for layer in largest["layers"]]
        yield checks.near(
            "residual stream: largest on any square, nats", position["id"], found,
            largest["by_iloc"][iloc], 0.0051,
        )  # fmt: skip
        if iloc in largest["squares"]:
            at = [
                chess.square_name(to_board(NetSquare(int(np.nanargmax(np.abs(row)))), pair.turn))
                for row in grid[largest["layers"]]
            ]
            yield checks.equal(
                "residual stream: square of the largest", position["id"], at,
                largest["squares"][iloc],
            )  # fmt: skip
        squares = paper_squares.of(pair)
        if iloc in curves and squares is not None:
            for ours, theirs in (
                ("first", "1st"), ("third_and_later", "3rd_and_later"),
                ("corrupted", "corrupted"), ("other", "other_max"),
            ):  # fmt: skip
                found = grid[:, list(squares[ours])].max(axis=1).tolist()
                yield checks.near(
                    f"residual stream over layers: {ours.replace('_', ' ')}, nats",
                    position["id"], found, curves[iloc][theirs], 1e-3,
                )  # fmt: skip


def _tree(network: Network) -> Iterator[Check]:
    """Mean effects over layers at the last target of paths of the network's own moves.

    A path such as 010 says by rank which move is played: the likeliest, the second, the likeliest.
    """
    for position in checks.values()["positions"]:
        known = position.get("mean_over_15_layers_effect")
        if known is None:
            continue
        pair = checks.pair(position)
        table = effects.measure(network, [pair], sweeps.residual(network))
        means = table.groupby("square")["effect"].mean()
        found = []
        for name in known:
            (path,) = re.findall(r"[01]+$", name.rstrip(")"))
            board = pair.clean
            for rank in map(int, path):
                policy = network.evaluate([board]).policy(0)
                move = sorted(policy, key=policy.__getitem__, reverse=True)[rank]
                board.push(move)
            found.append(float(means[from_board(move.to_square, pair.turn)]))
        yield checks.near(
            "residual stream over all layers: targets of the tree of moves", position["id"], found,
            list(known.values()), 1e-3,
        )  # fmt: skip


def attribution(network: Network, row: Mapping[str, Any]) -> Check:
    """Pattern entries times the slope of the likeliest move's probability."""
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
    return checks.near("attribution of head 12.12", row["fen"].split()[0], found, known, 1e-4)


def chosen_partners(strong: Network, weak: Network) -> Iterator[Check]:
    """Whether the search ends with the published partner."""
    search = partners.PRESETS["jenner2024"]
    view = plies.view(strong, search.strong_history)
    for position in checks.values()["positions"]:
        if "corrupted_fen" not in position:
            continue
        if "fen_before" in position:
            fen, setup = position["fen_before"], position["setup"]
        elif strong.no_history:
            fen, setup = checks.before(position["fen"])
        else:
            yield checks.skipped(
                "chosen partner", position["id"],
                f"the position before it is not published, and {strong.name!r} sees it",
            )  # fmt: skip
            continue
        moves = f"{setup} {checks.line(position)[0]}"
        prepared = partners.prepare(
            [Row(2, position["id"], fen, moves)],
            search=search,
            weak_view=plies.view(weak, search.weak_history),
            strong_view=view,
        )
        (outcome,) = partners.find(
            prepared, strong=strong, weak=weak, search=search, strong_view=view, batch_size=256
        )
        chosen = outcome.partners[0].fen if outcome is not None and outcome.partners else ""
        yield checks.equal(
            "chosen partner",
            position["id"],
            checks.key(chosen),
            checks.key(position["corrupted_fen"]),
        )
