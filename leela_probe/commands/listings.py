"""What the command shows, made ready for a terminal of 80 columns. Builds, and never prints.

Takes results as they are; computes nothing. Stands on no other room but for types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import chess

    from leela_probe.networks.evaluation import Evaluation
    from leela_probe.networks.network import Network
    from leela_probe.networks.sites import Site
    from leela_probe.networks.verification import Comparison

__all__ = ["answer", "comparisons", "evaluation", "funnel", "network", "sites", "sites_as_text"]

_BAR = 30  # characters of the longest bar


def network(loaded: Network) -> Table:
    """What a network is, a fact a row."""
    heads = f", {loaded.heads} attention heads" if loaded.heads else ""
    blind = ", history planes zeroed" if loaded.no_history else ""
    facts = [
        ("network", loaded.name),
        ("body", f"{loaded.body}, {loaded.layers} layers x {loaded.width}{heads}"),
        ("weights", f"{loaded.parameters:,}"),
        ("outputs", ", ".join(loaded.graph.outputs)),
        (
            "input format",
            f"{int(loaded.input_format)} ({loaded.input_format.name.lower()}){blind}",
        ),
    ]
    for key, value in sorted(loaded.metadata.items()):
        if value != loaded.sha256:
            facts.append(("note", f"{key} = {value}"))
    facts += [
        ("sha256", loaded.sha256),
        (
            "parity",
            f"{loaded.parity:.1e} largest difference in a move's probability:\n"
            f"torch on {loaded.device} in {loaded.dtype} against onnxruntime",
        ),
        (
            "sites",
            f"{len(loaded.sites)} of {len(list(_kinds(loaded.sites)))} kinds; --sites lists them",
        ),
    ]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value))
    return table


def sites(named: Mapping[str, Site]) -> Group:
    """The sites of a network, a kind an entry: the layers share theirs, written as layer L."""
    layers = [site.layer for site in named.values() if site.layer is not None]
    rows = [
        ("site", "axes", "ONNX tensor (of layer 0)" if layers else "ONNX tensor", "meaning"),
        *((name, " ".join(site.axes), site.tensor, site.meaning) for name, site in _kinds(named)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for name, axes, tensor, meaning in rows:
        line = Text(f"{name:{widths[0]}} {axes:{widths[1]}} {tensor}", no_wrap=True)
        line.stylize("bold", 0, len(name))
        lines += [line, Text(f"  {meaning}", style="dim")]
    if layers:
        lines.append(Text(f"\nL runs from 0 to {max(layers)}."))
    return Group(*lines)


def sites_as_text(named: Mapping[str, Site]) -> str:
    """Every site of a network, a line each: name, axes, ONNX tensor, meaning, between tabs."""
    rows = [("site", "axes", "tensor", "meaning")]
    rows += [(site.name, " ".join(site.axes), site.tensor, site.meaning) for site in named.values()]
    return "\n".join(map("\t".join, rows))


def _kinds(named: Mapping[str, Site]) -> Iterator[tuple[str, Site]]:
    """The sites without those that only repeat a kind in a later layer, under a name for all."""
    seen = set()
    for site in named.values():
        name = site.name if site.layer is None else f"layerL.{site.name.partition('.')[2]}"
        if name not in seen:
            seen.add(name)
            yield name, site


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


def evaluation(name: str, board: chess.Board, answers: Evaluation, i: int, *, top: int) -> Group:
    """One position's evaluation as a table that a person likes to read.

    Args:
        name: of the network.
        board: the position.
        answers: the evaluation of a batch.
        i: the position's place in it.
        top: how many moves are shown.
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
        bar = "█" * max(1, round(_BAR * probability / largest)) if probability >= 0.0005 else ""
        table.add_row(board.san(move), move.uci(), f"{probability:.2%}", bar)
    rest = list(policy.values())[top:]
    if rest:
        table.add_row(f"{len(rest)} more", "", f"{sum(rest):.2%}", "")
    return Group(*head, table, Text())


def comparisons(found: Sequence[Comparison]) -> Table:
    """Comparisons of a network's answers, a row each."""
    table = Table(box=None, pad_edge=False)
    table.add_column("compared", overflow="fold")
    for column in ("positions", "planes", "policy", "value", "at most", ""):
        table.add_column(column, justify="right")
    for comparison in found:
        planes = comparison.planes
        table.add_row(
            comparison.what,
            str(comparison.positions),
            "-" if planes is None else (f"{planes} differ" if planes else "equal"),
            f"{comparison.probability:.1e}",
            f"{comparison.value:.1e}",
            f"{comparison.tolerance:.0e}",
            "ok" if comparison.agrees else "DIFFERS",
        )
    return table


def funnel(counts: Mapping[str, int], meanings: Mapping[str, str]) -> Table:
    """How many rows got each verdict, in the order of the questions.

    Args:
        counts: by verdict.
        meanings: what each verdict says.
    """
    total = sum(counts.values())
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for verdict, count in counts.items():
        share = f"{count / total:.1%}" if total else "-"
        table.add_row(f"{count:,}", share, verdict, meanings[verdict])
    table.add_row(f"{total:,}", "", "in all", "")
    return table
