"""What the command shows, made ready for a terminal of 80 columns. Builds, and never prints.

Takes results as they are; computes nothing.
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
    from leela_probe.weights.architectures import Activation, Architecture

__all__ = ["answer", "comparisons", "evaluation", "funnel", "network", "sites", "sites_as_text"]

_BAR = 30  # characters of the longest bar


def network(loaded: Network, architecture: Architecture | None = None) -> Table:
    """What a network is, a fact a row.

    Args:
        loaded: the network.
        architecture: what a Leela file says of it; without, its parts are those that the graph
            shows.
    """
    heads = f", {loaded.heads} attention heads" if loaded.heads else ""
    blind = ", history planes zeroed" if loaded.no_history else ""
    facts = [
        ("network", loaded.name),
        ("body", f"{loaded.body}, {loaded.layers} layers x {loaded.width}{heads}"),
        *(_seen_parts(loaded) if architecture is None else _said_parts(architecture)),
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


def _said_parts(a: Architecture) -> Iterator[tuple[str, str]]:
    """The parts of a network as its file describes them."""
    if a.layers:
        embedding = {
            "MAP": "64 fixed numbers appended to a square's planes",
            "DENSE": f"{a.embedding_channels} numbers a square from the pieces of all squares, and "
            f"an MLP {a.embedding_feed_forward or a.feed_forward} wide",
        }[a.embedding.name]
        yield "embedding", embedding + (", gated" if a.gating else "")
        yield "MLP", f"{a.feed_forward} wide, {_activation(a.feed_forward_activation, a)}"
        if a.smolgen is None:
            yield "smolgen", "none"
        else:
            sizes = a.smolgen
            yield (
                "smolgen",
                f"{sizes.channels} numbers a square, {sizes.hidden} hidden, {sizes.generated} a "
                f"head, {_activation(a.smolgen_activation, a)}",
            )
    else:
        squeezed = f"squeeze-excitation {a.squeeze} wide" if a.squeeze else "no squeeze-excitation"
        normed = ", batch normalisation" if a.batch_norm else ""
        yield "blocks", f"{squeezed}, {_activation(a.activation, a)}{normed}"
    width = {
        "ATTENTION": f"{a.policy_width} wide",
        "CLASSICAL": f"{a.policy_channels} planes",
    }.get(a.policy.name, "80 planes of moves")
    plural = "" if a.policy_layers == 1 else "s"
    layers = f", {a.policy_layers} layer{plural} of its own" if a.policy_layers else ""
    yield "policy", f"{a.policy.name.lower()}, {width}{layers}{_several(a.policy_heads)}"
    value = "WDL" if a.value.name == "WDL" else "one number"
    sizes_of_value = f"{a.value_channels} numbers a square, {a.value_hidden} hidden"
    yield "value", f"{value}, {sizes_of_value}{_several(a.value_heads)}"
    yield (
        "moves left",
        (
            f"{a.moves_left_channels} numbers a square, {a.moves_left_hidden} hidden"
            if a.moves_left
            else "none"
        ),
    )


def _activation(activation: Activation, a: Architecture) -> str:
    return (activation if activation.value else a.activation).name.lower().replace("_2", " squared")


def _several(heads: Sequence[str]) -> str:
    return f"; heads {', '.join(heads)}" if heads else ""


def _seen_parts(loaded: Network) -> Iterator[tuple[str, str]]:
    """The parts of a network that show in its graph."""
    named = loaded.sites
    if loaded.heads:
        yield "MLP", f"{loaded.mlp_width} wide"
        yield "smolgen", "present" if "layer0.smolgen" in named else "none"
    else:
        squeezed = "layer0.se_gate" in named
        yield "blocks", "squeeze-excitation" if squeezed else "no squeeze-excitation"
    kinds = {"policy.scores": "attention", "policy.moves": "convolution"}
    yield "policy", next((kind for site, kind in kinds.items() if site in named), "classical")
    value = {"value.wdl": "WDL", "value.scalar": "one number"}
    yield "value", next((kind for site, kind in value.items() if site in named), "none")
    yield "moves left", "present" if "moves_left.output" in named else "none"


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


def comparisons(found: Sequence[Comparison]) -> Group:
    """Comparisons of a network's answers, a row each, and below what there is to know of them."""
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
    turned = max((comparison.turned for comparison in found), default=0)
    if not turned:
        return Group(table)
    note = (
        f"The input format turns {turned} of the positions compared with lc0. There lc0's\n"
        "engine turns the policy slots with the board, and its policy is taken; lc0's\n"
        "Python module by itself reads the slots of the unturned board: another policy."
    )
    return Group(table, Text(f"\n{note}"))


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
