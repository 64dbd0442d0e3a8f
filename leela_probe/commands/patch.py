"""The commands `leela-probe patch ...`: one for each sweep of changed runs.

Each writes one effects table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leela_probe.commands import options, sweeping, terminal
from leela_probe.commands.groups import BatchOptions, NetworkOptions
from leela_probe.commands.registration import Command, Group
from leela_probe.commands.sweeping import ActionOptions, ScreenOptions, SweepOptions

if TYPE_CHECKING:
    from leela_probe.networks.network import Network
    from leela_probe.positions.planes import History

__all__ = ["GROUP"]

_Head = Annotated[str, options.what("The head: LAYER.HEAD, each from 0.", metavar="L.H")]
_Layers = Annotated[
    str | None, options.what("Change only these layers: 3 or 8-11 or 0,5,10.", metavar="LIST")
]
_Method = Annotated[
    str,
    options.what(
        "zero, renormalise (then rows sum to 1 again) or mask (before the softmax).",
        metavar="NAME",
    ),
]


def residual(
    site: Annotated[
        str,
        options.what(
            "Change the stream after, middle or before a layer, or the embedding.", metavar="PLACE"
        ),
    ] = "after",
    layers: _Layers = None,
    *,
    sweep: SweepOptions,
    network: NetworkOptions,
    action: ActionOptions,
    screen: ScreenOptions,
    run: BatchOptions,
) -> None:
    """Patch or ablate the residual stream, one square of one layer at a time.

    In residual towers the stream is the output of each block.
    """  # fmt: skip
    from leela_probe.experiments import sweeps

    chosen = options.numbers(layers, "--layers")
    if site == "embedding" and layers is not None:
        raise typer.BadParameter("the embedding comes before all layers", param_hint="'--layers'")
    work = sweeping.begin(sweep, network, run, action=action, screen=screen)
    work.perform(lambda done: sweeps.residual(work.network, where=site, layers=chosen, action=done))


def heads(
    layers: _Layers = None,
    *,
    sweep: SweepOptions,
    network: NetworkOptions,
    action: ActionOptions,
    screen: ScreenOptions,
    run: BatchOptions,
) -> None:
    """Patch or ablate the output of each attention head, on all squares."""
    from leela_probe.experiments import sweeps

    chosen = options.numbers(layers, "--layers")
    work = sweeping.begin(sweep, network, run, action=action, screen=screen)
    work.perform(lambda done: sweeps.heads(work.network, layers=chosen, action=done))


def head_squares(
    head: _Head,
    *,
    sweep: SweepOptions,
    network: NetworkOptions,
    action: ActionOptions,
    screen: ScreenOptions,
    run: BatchOptions,
) -> None:
    """Patch or ablate one head's output, one query square at a time."""
    from leela_probe.experiments import sweeps

    place = options.head(head, "--head")
    work = sweeping.begin(sweep, network, run, action=action, screen=screen)
    work.perform(lambda done: sweeps.head_squares(work.network, *place, action=done))


def entry(
    head: _Head,
    query_ply: Annotated[
        int, options.what("The query is the target of this ply.", min=1, metavar="PLY")
    ] = 1,
    key_ply: Annotated[
        int, options.what("The key is the target of this ply.", min=1, metavar="PLY")
    ] = 3,
    method: _Method = "zero",
    controls: Annotated[
        bool,
        options.flag(
            "--controls",
            "Also ablate single other entries: one of its row, one of its column, one of matched "
            "weight.",
        ),
    ] = False,
    *,
    sweep: SweepOptions,
    network: NetworkOptions,
    run: BatchOptions,
) -> None:
    """Ablate the entry of a head's pattern between two targets, and all its others.

    Information flows from the key (the third ply's target) to the query (the
    first's).
    """
    from leela_probe.experiments import sweeps

    place = options.head(head, "--head")
    work = sweeping.begin(sweep, network, run)
    drawn = sweeps.EntryControls(seed=sweep.seed, history=sweep.kind_of_history())
    work.perform(
        lambda _: sweeps.entry(
            work.network,
            *place,
            query_ply=query_ply,
            key_ply=key_ply,
            method=method,
            controls=drawn if controls else None,
        )
    )


def entries(
    head: _Head,
    listed: Annotated[
        str | None,
        options.what(
            "Ablate only these, QUERY:KEY on the mover's board: g6:h4,g6:h5.",
            "--entries",
            metavar="LIST",
        ),
    ] = None,
    together: Annotated[
        bool, options.flag("--together", "Ablate all entries of the list in one run.")
    ] = False,
    method: _Method = "zero",
    *,
    sweep: SweepOptions,
    network: NetworkOptions,
    screen: ScreenOptions,
    run: BatchOptions,
) -> None:
    """Ablate entries of one head's pattern one by one (all 4,096, or some), or a set."""
    from leela_probe.experiments import sweeps

    if together and listed is None:
        raise typer.BadParameter("belongs to --entries LIST", param_hint="'--together'")
    places = (
        None if listed is None else [options.entry(text, "--entries") for text in listed.split(",")]
    )
    place = options.head(head, "--head")
    work = sweeping.begin(sweep, network, run, screen=screen)
    work.perform(
        lambda _: sweeps.entries(
            work.network, *place, chosen=places, method=method, together=together
        )
    )


def piece_heads(
    head_lists: Annotated[
        str,
        options.what(
            "rule: heads whose attention follows a piece's moves on held-out positions; "
            "jenner2024: the paper's lists, for its network; or a JSON file of "
            '{"knight": \\[\\[layer, head], ...], "bishop": ..., "rook": ...}.',
            metavar="NAME",
        ),
    ] = "rule",
    min_share: Annotated[
        float,
        options.what(
            "For the rule: a head follows a piece if at least this share of its attention does.",
            min=0,
            max=1,
            metavar="P",
        ),
    ] = 0.5,
    *,
    sweep: SweepOptions,
    network: NetworkOptions,
    run: BatchOptions,
) -> None:
    """Ablate the third target in heads that follow its piece, with two controls."""
    from leela_probe.experiments import piece_heads as rules
    from leela_probe.experiments import sweeps

    work = sweeping.begin(sweep, network, run)
    lists = _lists(work.network, head_lists, min_share, sweep.seed, sweep.kind_of_history())
    planned = sweeps.piece_heads(work.network, lists, seed=sweep.seed)
    sizes = rules.control_sizes(lists)
    for piece, members in lists.items():
        names = " ".join(f"{layer}.{head}" for layer, head in members) or "none"
        own, control = sizes[piece]
        fewer = f"; other pieces have only {control} for the control" if control < own else ""
        terminal.console().print(f"{piece} heads ({own}): {names}{fewer}")
    work.perform(lambda _: planned)


def head_sets(
    sets: Annotated[
        str | None,
        options.what("Change these sets of heads: 12.12+12.17,11.3+12.12.", metavar="LIST"),
    ] = None,
    all_pairs: Annotated[
        int | None,
        options.what("Change all pairs of heads at most N layers apart.", min=0, metavar="N"),
    ] = None,
    *,
    sweep: SweepOptions,
    network: NetworkOptions,
    action: ActionOptions,
    run: BatchOptions,
) -> None:
    """Patch or ablate several heads at once, set by set."""
    from leela_probe.experiments import sweeps

    if (sets is None) == (all_pairs is None):
        raise typer.BadParameter("give either --sets or --all-pairs", param_hint="'--sets'")
    work = sweeping.begin(sweep, network, run, action=action)
    chosen = (
        sweeps.pairs_of_heads(work.network, margin=all_pairs or 0)
        if sets is None
        else [
            tuple(options.head(head, "--sets") for head in group.split("+"))
            for group in sets.split(",")
        ]
    )
    work.perform(lambda done: sweeps.head_sets(work.network, chosen, action=done))


def _lists(
    network: Network, name: str, least: float, seed: int, history: History
) -> dict[str, Sequence[tuple[int, int]]]:
    from leela_probe.experiments import held_out, piece_heads

    if name == "jenner2024":
        return dict(piece_heads.JENNER2024)
    if name == "rule":
        table = piece_heads.scores(network, held_out.boards(64, seed=seed), history=history)
        return dict(piece_heads.choose(table, least=least))
    path = Path(name)
    if not path.is_file():
        raise typer.BadParameter(
            f"{name!r} is neither rule nor jenner2024 nor a file", param_hint="'--head-lists'"
        )
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return {piece: [(int(a), int(b)) for a, b in heads] for piece, heads in listed.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} has no lists of heads: expected {{"knight": [[layer, head], ...], ...}} '
            f"({error})"
        ) from None


def _example(command: str, out: str) -> str:
    return f"leela-probe patch {command} pairs.parquet --network bundled:strong --out {out}"


GROUP = Group(
    name="patch",
    help="Change activations and measure what it does to the first move.",
    commands=(
        Command(
            name="residual",
            run=residual,
            examples=(
                _example("residual", "residual.parquet"),
                _example("residual", "best.parquet") + " --screen 8 --check 20",
            ),
        ),
        Command(name="heads", run=heads, examples=(_example("heads", "heads.parquet"),)),
        Command(
            name="head-squares",
            run=head_squares,
            examples=(_example("head-squares", "squares.csv") + " --head 2.7",),
        ),
        Command(
            name="entry",
            run=entry,
            examples=(_example("entry", "entry.parquet") + " --head 5.7 --controls",),
        ),
        Command(
            name="entries",
            run=entries,
            examples=(_example("entries", "entries.parquet") + " --head 5.7 --limit 20",),
        ),
        Command(
            name="piece-heads",
            run=piece_heads,
            examples=(_example("piece-heads", "pieces.parquet") + " --min-share 0.3",),
        ),
        Command(
            name="head-sets",
            run=head_sets,
            examples=(
                _example("head-sets", "sets.parquet") + " --all-pairs 0",
                _example("head-sets", "two.csv") + " --sets 2.7+5.7",
            ),
        ),
    ),
)
