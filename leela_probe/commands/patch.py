"""The subcommands `leela-probe patch ...`: one for each sweep of changed runs.

Each writes one effects table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, sweeping, terminal

if TYPE_CHECKING:
    from leela_probe.networks.network import Network
    from leela_probe.positions.planes import History

__all__ = ["app"]

app = typer.Typer(
    name="patch",
    help="Change activations and measure what it does to the first move.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)

_WANTED = "What is wanted"
_RUNNING = "How it runs"
_Pairs = Annotated[
    Path,
    typer.Argument(
        help="What corrupt (or filter) has written.", metavar="PAIRS", callback=options.file
    ),
]
_Head = Annotated[
    str, typer.Option(help="LAYER.HEAD, each from 0.", metavar="L.H", rich_help_panel=_WANTED)
]
_Layers = Annotated[
    str | None,
    typer.Option(
        help="Some layers only: 3 or 8-11 or 0,5,10.", metavar="LIST", rich_help_panel=_WANTED
    ),
]
_Measure = Annotated[
    str,
    typer.Option(
        help="log_odds, probability, win_log_odds, q or kl.",
        metavar="NAME",
        rich_help_panel=_WANTED,
    ),
]
_Direction = Annotated[
    str,
    typer.Option(
        help="noising: corrupted into clean; denoising: clean into corrupted.",
        metavar="NAME",
        rich_help_panel=_WANTED,
    ),
]
_History = Annotated[
    str,
    typer.Option(help="filled, known or current.", metavar="KIND", rich_help_panel=_WANTED),
]
_Limit = Annotated[
    int | None,
    typer.Option(help="Only the first N pairs.", min=1, metavar="N", rich_help_panel=_WANTED),
]
_Seed = Annotated[
    int, typer.Option(help="Of random choices.", min=0, metavar="N", rich_help_panel=_WANTED)
]
_Screen = Annotated[
    int | None,
    typer.Option(
        help="Rank all places by gradient, measure the best K of each puzzle.",
        metavar="K",
        min=1,
        rich_help_panel=_WANTED,
    ),
]
_Steps = Annotated[
    int,
    typer.Option(
        help="With --screen: gradients averaged between the boards.",
        metavar="N",
        min=1,
        rich_help_panel=_WANTED,
    ),
]
_Check = Annotated[
    int | None,
    typer.Option(
        help="With --screen: measure all places of N puzzles and say how ranks agree.",
        metavar="N",
        min=1,
        rich_help_panel=_WANTED,
    ),
]
_Ranks = Annotated[
    str,
    typer.Option(
        help="Which partners of each puzzle: 1 is the nearest, 1-3 the first three.",
        metavar="LIST",
        rich_help_panel=_WANTED,
    ),
]
_Action = Annotated[
    str,
    typer.Option(
        help="patch, zero, mean or resample (over held-out positions), or scale:FACTOR.",
        metavar="NAME",
        rich_help_panel=_WANTED,
    ),
]
_Boards = Annotated[
    int,
    typer.Option(
        help="For mean and resample: how many held-out positions.",
        min=1,
        metavar="N",
        rich_help_panel=_WANTED,
    ),
]
_Batch = Annotated[
    int | None,
    typer.Option(
        help="Changed runs at once \\[default: as suits the device].",
        metavar="N",
        min=1,
        show_default=False,
        rich_help_panel=_RUNNING,
    ),
]
_Method = Annotated[
    str,
    typer.Option(
        help="zero, renormalise (rows sum to 1 again) or mask (before the softmax).",
        metavar="NAME",
        rich_help_panel=_WANTED,
    ),
]
_TakePly = Annotated[int, typer.Option(min=1, metavar="PLY", rich_help_panel=_WANTED)]


@app.command(epilog="Example:\n\nleela-probe patch residual NET pairs.parquet --out r.parquet")
def residual(
    net: options.Net,
    pairs: _Pairs,
    out: options.Out,
    where: Annotated[
        str,
        typer.Option(
            help="after, middle or before a layer, or embedding.",
            metavar="PLACE",
            rich_help_panel=_WANTED,
        ),
    ] = "after",
    layers: _Layers = None,
    measure: _Measure = "log_odds",
    direction: _Direction = "noising",
    action: _Action = "patch",
    boards: _Boards = 64,
    screen: _Screen = None,
    steps: _Steps = 1,
    check: _Check = None,
    history: _History = "filled",
    limit: _Limit = None,
    ranks: _Ranks = "1",
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Patch or ablate the residual stream, one square of one layer at a time.

    In residual towers the stream is the output of each block.
    """
    from leela_probe.experiments import sweeps

    chosen = options.numbers(layers, "--layers")
    if where == "embedding" and layers is not None:
        raise typer.BadParameter("the embedding comes before all layers", param_hint="'--layers'")
    network = terminal.load(net, device, dtype, input_format)
    settings = sweeping.settings(locals())
    sweep = sweeping.swept(
        lambda done: sweeps.residual(network, where=where, layers=chosen, action=done),
        network,
        settings,
    )
    sweeping.run(network, sweep, {"where": where, "layers": layers}, pairs, out, settings)


@app.command(epilog="Example:\n\nleela-probe patch heads NET pairs.parquet --out h.parquet")
def heads(
    net: options.Net,
    pairs: _Pairs,
    out: options.Out,
    layers: _Layers = None,
    measure: _Measure = "log_odds",
    direction: _Direction = "noising",
    action: _Action = "patch",
    boards: _Boards = 64,
    screen: _Screen = None,
    steps: _Steps = 1,
    check: _Check = None,
    history: _History = "filled",
    limit: _Limit = None,
    ranks: _Ranks = "1",
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Patch or ablate the output of each attention head, on all squares."""
    from leela_probe.experiments import sweeps

    chosen = options.numbers(layers, "--layers")
    network = terminal.load(net, device, dtype, input_format)
    settings = sweeping.settings(locals())
    sweep = sweeping.swept(
        lambda done: sweeps.heads(network, layers=chosen, action=done), network, settings
    )
    sweeping.run(network, sweep, {"layers": layers}, pairs, out, settings)


@app.command(
    epilog="Example:\n\nleela-probe patch head-squares NET pairs.parquet --head 12.12 --out s.csv"
)
def head_squares(
    net: options.Net,
    pairs: _Pairs,
    out: options.Out,
    head: _Head,
    measure: _Measure = "log_odds",
    direction: _Direction = "noising",
    action: _Action = "patch",
    boards: _Boards = 64,
    screen: _Screen = None,
    steps: _Steps = 1,
    check: _Check = None,
    history: _History = "filled",
    limit: _Limit = None,
    ranks: _Ranks = "1",
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Patch or ablate one head's output, one query square at a time."""
    from leela_probe.experiments import sweeps

    place = options.head(head, "--head")
    network = terminal.load(net, device, dtype, input_format)
    settings = sweeping.settings(locals())
    sweep = sweeping.swept(
        lambda done: sweeps.head_squares(network, *place, action=done), network, settings
    )
    sweeping.run(network, sweep, {"head": head}, pairs, out, settings)


@app.command(
    epilog="Example:\n\nleela-probe patch entry NET pairs.parquet --head 12.12 --out e.csv"
)
def entry(
    net: options.Net,
    pairs: _Pairs,
    out: options.Out,
    head: _Head,
    query_ply: _TakePly = 1,
    key_ply: _TakePly = 3,
    method: _Method = "zero",
    controls: Annotated[
        bool,
        typer.Option(
            "--controls",
            help="Also single other entries: of its row, of its column, of like weight.",
            rich_help_panel=_WANTED,
        ),
    ] = False,
    measure: _Measure = "log_odds",
    history: _History = "filled",
    limit: _Limit = None,
    ranks: _Ranks = "1",
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Ablate the entry of a head's pattern between two targets, and all its others.

    Information flows from the key (the third ply's target) to the query (the
    first's).
    """
    from leela_probe.experiments import sweeps

    network = terminal.load(net, device, dtype, input_format)
    settings = sweeping.settings(locals())
    sweep = sweeps.entry(
        network,
        *options.head(head, "--head"),
        query_ply=query_ply,
        key_ply=key_ply,
        method=method,
        controls=controls,
        seed=seed,
        history=settings["history"],
    )
    made = {"head": head, "query_ply": query_ply, "key_ply": key_ply, "method": method}
    sweeping.run(network, sweep, made | {"controls": controls}, pairs, out, settings)


@app.command(
    epilog="Example:\n\nleela-probe patch entries NET pairs.parquet --head 12.12 --out all.parquet"
)
def entries(
    net: options.Net,
    pairs: _Pairs,
    out: options.Out,
    head: _Head,
    chosen: Annotated[
        str | None,
        typer.Option(
            "--entries",
            help="Only these, QUERY:KEY on the mover's board: g6:h4,g6:h5.",
            metavar="LIST",
            rich_help_panel=_WANTED,
        ),
    ] = None,
    together: Annotated[
        bool,
        typer.Option(
            "--together",
            help="All entries of the list in one run.",
            rich_help_panel=_WANTED,
        ),
    ] = False,
    method: _Method = "zero",
    measure: _Measure = "log_odds",
    screen: _Screen = None,
    check: _Check = None,
    history: _History = "filled",
    limit: _Limit = None,
    ranks: _Ranks = "1",
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Ablate entries of one head's pattern one by one (all 4,096, or some), or a set."""
    from leela_probe.experiments import sweeps

    if together and chosen is None:
        raise typer.BadParameter("belongs to --entries LIST", param_hint="'--together'")
    network = terminal.load(net, device, dtype, input_format)
    places = (
        None if chosen is None else [options.entry(text, "--entries") for text in chosen.split(",")]
    )
    sweep = sweeps.entries(
        network,
        *options.head(head, "--head"),
        chosen=places,
        method=method,
        together=together,
    )
    made = {"head": head, "entries": chosen, "method": method, "together": together}
    sweeping.run(network, sweep, made, pairs, out, sweeping.settings(locals()))


@app.command(epilog="Example:\n\nleela-probe patch piece-heads NET pairs.parquet --out p.parquet")
def piece_heads(
    net: options.Net,
    pairs: _Pairs,
    out: options.Out,
    chosen: Annotated[
        str,
        typer.Option(
            "--heads",
            help="rule: heads whose attention follows a piece's moves on held-out positions; "
            "jenner2024: the paper's lists, for its network; or a JSON file of "
            '{"knight": \\[\\[layer, head], ...], "bishop": ..., "rook": ...}.',
            metavar="NAME",
            rich_help_panel=_WANTED,
        ),
    ] = "rule",
    share: Annotated[
        float,
        typer.Option(
            help="For the rule: least share of attention.",
            min=0,
            max=1,
            metavar="P",
            rich_help_panel=_WANTED,
        ),
    ] = 0.5,
    measure: _Measure = "log_odds",
    history: _History = "filled",
    limit: _Limit = None,
    ranks: _Ranks = "1",
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Ablate the third target in heads that follow its piece, with two controls."""
    from leela_probe.experiments import piece_heads, sweeps

    network = terminal.load(net, device, dtype, input_format)
    settings = sweeping.settings(locals())
    listed = _piece_heads(network, chosen, share, seed, settings["history"])
    sweep = sweeps.piece_heads(network, listed, seed=seed)
    sizes = piece_heads.control_sizes(listed)
    for piece, found in listed.items():
        names = " ".join(f"{layer}.{head}" for layer, head in found) or "none"
        own, control = sizes[piece]
        fewer = f"; other pieces have only {control} for the control" if control < own else ""
        terminal.console().print(f"{piece} heads ({own}): {names}{fewer}")
    made = {
        "heads": {piece: [list(each) for each in found] for piece, found in listed.items()},
        "other_heads": {piece: control for piece, (_, control) in sizes.items()},
    }
    sweeping.run(network, sweep, made, pairs, out, settings)


@app.command(
    epilog="Examples:\n\nleela-probe patch head-sets NET pairs.csv --pairs 0 --out t.parquet\n\n"
    "leela-probe patch head-sets NET pairs.csv --sets 12.12+12.17 --out t.csv"
)
def head_sets(
    net: options.Net,
    pairs: _Pairs,
    out: options.Out,
    sets: Annotated[
        str | None,
        typer.Option(
            help="Sets of heads: 12.12+12.17,11.3+12.12.", metavar="LIST", rich_help_panel=_WANTED
        ),
    ] = None,
    margin: Annotated[
        int | None,
        typer.Option(
            "--pairs",
            help="All pairs of heads at most N layers apart.",
            min=0,
            metavar="N",
            rich_help_panel=_WANTED,
        ),
    ] = None,
    measure: _Measure = "log_odds",
    direction: _Direction = "noising",
    action: _Action = "patch",
    boards: _Boards = 64,
    history: _History = "filled",
    limit: _Limit = None,
    ranks: _Ranks = "1",
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Patch or ablate several heads at once, set by set."""
    from leela_probe.experiments import sweeps

    if (sets is None) == (margin is None):
        raise typer.BadParameter("give either --sets or --pairs", param_hint="'--sets'")
    network = terminal.load(net, device, dtype, input_format)
    chosen = (
        sweeps.pairs_of_heads(network, margin=margin or 0)
        if sets is None
        else [
            tuple(options.head(head, "--sets") for head in group.split("+"))
            for group in sets.split(",")
        ]
    )
    settings = sweeping.settings(locals())
    sweep = sweeping.swept(
        lambda done: sweeps.head_sets(network, chosen, action=done), network, settings
    )
    sweeping.run(network, sweep, {"sets": sets, "pairs": margin}, pairs, out, settings)


def _piece_heads(
    network: Network, chosen: str, share: float, seed: int, history: History
) -> dict[str, Any]:
    from leela_probe.experiments import held_out, piece_heads

    if chosen == "jenner2024":
        return dict(piece_heads.JENNER2024)
    if chosen == "rule":
        table = piece_heads.scores(network, held_out.boards(64, seed=seed), history=history)
        return dict(piece_heads.choose(table, least=share))
    path = Path(chosen)
    if not path.is_file():
        raise typer.BadParameter(
            f"{chosen!r} is none of rule, jenner2024 and no file", param_hint="'--heads'"
        )
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return {piece: [(int(a), int(b)) for a, b in found] for piece, found in listed.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} holds no lists of heads: expected {{"knight": [[layer, head], ...], ...}} '
            f"({error})"
        ) from None
