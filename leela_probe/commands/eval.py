"""The command `leela-probe eval`: a network's policy, WDL, Q and moves left for positions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from leela_probe.commands import eval_positions, options, terminal
from leela_probe.commands.groups import DeviceOptions, HeadOptions
from leela_probe.commands.registration import Command

if TYPE_CHECKING:
    import chess

    from leela_probe.networks.evaluation import Evaluation

__all__ = ["COMMAND", "answer", "evaluate", "evaluation"]

_BAR = 30  # characters of the longest bar


def evaluate(
    net: options.Net,
    fen: Annotated[str | None, typer.Option(help="Evaluate this position.", metavar="FEN")] = None,
    moves: Annotated[
        str,
        typer.Option(
            help="Play these moves from it first, such as 'e2e4 c7c5'.",
            metavar="UCI",
            show_default=False,
        ),
    ] = "",
    positions: Annotated[
        Path | None,
        typer.Option(
            help="Evaluate a file of positions: one FEN or FEN|uci uci per line, comments after "
            "#; - reads standard input.",
            metavar="FILE",
        ),
    ] = None,
    as_json: Annotated[bool, options.flag("--json", "Print one JSON object per line.")] = False,
    top: Annotated[int, options.what("Show N moves in the table.", min=1, metavar="N")] = 10,
    *,
    heads: HeadOptions,
    run: DeviceOptions,
) -> None:
    """Evaluate positions: the policy over legal moves, WDL, Q, moves left.

    A file is read and answered 1,024 positions at a time. A line that cannot be
    read ends the program, after the answers to the batches before it.
    """
    if (fen is None) == (positions is None):
        raise typer.BadParameter("give one of the two", param_hint="'--fen' / '--positions'")
    if positions is not None and moves:
        raise typer.BadParameter(
            "belongs to --fen; in a file write FEN|moves", param_hint="'--moves'"
        )
    if positions is None:
        assert fen is not None
        batches = iter([[eval_positions.position(fen, moves)]])
    else:
        batches = eval_positions.batches(positions)
    first = next(batches)  # a mistake in it ends the program before a network is loaded
    network = heads.load(net, run)
    console = terminal.console()
    bar = "█" if console.encoding.startswith("utf") else "#"
    for batch in chain([first], batches):
        answers = network.evaluate([position.board for position in batch])
        for i, position in enumerate(batch):
            if as_json:
                print(json.dumps(answer(position.fen, position.moves, answers, i)))
            else:
                console.print(
                    evaluation(network.name, position.board, answers, i, top=top, bar=bar)
                )


COMMAND = Command(
    name="eval",
    run=evaluate,
    examples=(
        'leela-probe eval bundled:strong --fen "8/8/8/4k3/8/3QK3/8/8 w - - 0 1"',
        "leela-probe eval bundled:strong --positions positions.txt --json > answers.jsonl",
    ),
)


def answer(fen: str, moves: Sequence[str], answers: Evaluation, i: int) -> dict[str, Any]:
    """One position's evaluation as JSON values: policy by UCI move, the likeliest first."""

    def number(values: Any) -> float | None:
        return None if values is None else float(values[i])

    return {
        "fen": fen,
        "moves": [*moves],
        "policy": {move.uci(): value for move, value in answers.policy(i).items()},
        "q": number(answers.q),
        "wdl": None if answers.wdl is None else [float(value) for value in answers.wdl[i]],
        "moves_left": number(answers.moves_left),
    }


def evaluation(
    name: str, board: chess.Board, answers: Evaluation, i: int, *, top: int, bar: str = "█"
) -> Group:
    """One position's evaluation as a table that a person likes to read.

    Args:
        name: of the network.
        board: the position.
        answers: the evaluation of a batch.
        i: the position's place in it.
        top: how many moves are shown.
        bar: what bars are made of.
    """
    facts = []
    if answers.wdl is not None:
        win, draw, loss = (float(value) for value in answers.wdl[i])
        facts.append(f"win {win:.1%}  draw {draw:.1%}  loss {loss:.1%}")
    if answers.q is not None:
        facts.append(f"Q {float(answers.q[i]):+.3f}")
    if answers.moves_left is not None:
        facts.append(f"{float(answers.moves_left[i]):.0f} plies left")
    side = "White" if board.turn else "Black"
    head = (
        Text(f"{name}  {board.fen()}", style="bold"),
        Text(f"{side} to move: " + ("   ".join(facts) or "the network has no value head")),
    )
    policy = answers.policy(i)
    if not policy:
        outcome = "checkmate" if board.is_checkmate() else "stalemate"
        return Group(*head, Text(f"no legal moves: {outcome}\n"))
    table = Table(box=None, pad_edge=False)
    table.add_column("move")
    table.add_column("uci")
    table.add_column("probability", justify="right")
    table.add_column()
    largest = next(iter(policy.values()))
    for move, probability in list(policy.items())[:top]:
        length = max(1, round(_BAR * probability / largest)) if probability >= 0.0005 else 0
        table.add_row(board.san(move), move.uci(), f"{probability:.2%}", bar * length)
    rest = list(policy.values())[top:]
    if rest:
        table.add_row(f"{len(rest)} more", "", f"{sum(rest):.2%}", "")
    return Group(*head, table, Text())
