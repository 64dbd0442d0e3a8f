"""The subcommands `leela-probe patch ...`: one for each sweep of changed runs.

Each writes one effects table. Stands on `terminal` and `options`, and on the rooms that do the
work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, terminal

if TYPE_CHECKING:
    from leela_probe.experiments.sweeps import Sweep
    from leela_probe.networks.network import Network
    from leela_probe.positions.planes import History

__all__ = ["app"]

app = typer.Typer(
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
    screen: _Screen = None,
    steps: _Steps = 1,
    history: _History = "filled",
    limit: _Limit = None,
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    overwrite: options.Overwrite = False,
) -> None:
    """Patch the residual stream, one square of one layer at a time.

    In residual towers the stream is the output of each block.
    """
    from leela_probe.experiments import sweeps

    network = terminal.load(net, device, dtype)
    sweep = sweeps.residual(network, where=where, layers=options.numbers(layers, "--layers"))
    _run(network, sweep, {"where": where, "layers": layers}, pairs, out, _settings(locals()))


@app.command(epilog="Example:\n\nleela-probe patch heads NET pairs.parquet --out h.parquet")
def heads(
    net: options.Net,
    pairs: _Pairs,
    out: options.Out,
    layers: _Layers = None,
    measure: _Measure = "log_odds",
    direction: _Direction = "noising",
    screen: _Screen = None,
    steps: _Steps = 1,
    history: _History = "filled",
    limit: _Limit = None,
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    overwrite: options.Overwrite = False,
) -> None:
    """Patch the output of each attention head, on all squares."""
    from leela_probe.experiments import sweeps

    network = terminal.load(net, device, dtype)
    sweep = sweeps.heads(network, layers=options.numbers(layers, "--layers"))
    _run(network, sweep, {"layers": layers}, pairs, out, _settings(locals()))


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
    screen: _Screen = None,
    steps: _Steps = 1,
    history: _History = "filled",
    limit: _Limit = None,
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    overwrite: options.Overwrite = False,
) -> None:
    """Patch one head's output, one query square at a time."""
    from leela_probe.experiments import sweeps

    network = terminal.load(net, device, dtype)
    sweep = sweeps.head_squares(network, *options.head(head, "--head"))
    _run(network, sweep, {"head": head}, pairs, out, _settings(locals()))


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
    measure: _Measure = "log_odds",
    history: _History = "filled",
    limit: _Limit = None,
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    overwrite: options.Overwrite = False,
) -> None:
    """Ablate the entry of a head's pattern between two targets, and all its others.

    Information flows from the key (the third ply's target) to the query (the
    first's).
    """
    from leela_probe.experiments import sweeps

    network = terminal.load(net, device, dtype)
    sweep = sweeps.entry(
        network, *options.head(head, "--head"), query_ply=query_ply, key_ply=key_ply, method=method
    )
    made = {"head": head, "query_ply": query_ply, "key_ply": key_ply, "method": method}
    _run(network, sweep, made, pairs, out, _settings(locals()))


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
    method: _Method = "zero",
    measure: _Measure = "log_odds",
    screen: _Screen = None,
    history: _History = "filled",
    limit: _Limit = None,
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    overwrite: options.Overwrite = False,
) -> None:
    """Ablate the entries of one head's pattern one by one: all 4,096, or some."""
    from leela_probe.experiments import sweeps

    network = terminal.load(net, device, dtype)
    places = (
        None if chosen is None else [options.entry(text, "--entries") for text in chosen.split(",")]
    )
    sweep = sweeps.entries(network, *options.head(head, "--head"), chosen=places, method=method)
    made = {"head": head, "entries": chosen, "method": method}
    _run(network, sweep, made, pairs, out, _settings(locals()))


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
            '{"knight": [[layer, head], ...], "bishop": ..., "rook": ...}.',
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
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    overwrite: options.Overwrite = False,
) -> None:
    """Ablate the third target in heads that follow its piece, with two controls."""
    from leela_probe.experiments import sweeps

    network = terminal.load(net, device, dtype)
    settings = _settings(locals())
    listed = _piece_heads(network, chosen, share, seed, settings["history"])
    for piece, found in listed.items():
        names = " ".join(f"{layer}.{head}" for layer, head in found) or "none"
        terminal.console().print(f"{piece} heads ({len(found)}): {names}")
    sweep = sweeps.piece_heads(network, listed, seed=seed)
    made = {"heads": {piece: [list(each) for each in found] for piece, found in listed.items()}}
    _run(network, sweep, made, pairs, out, settings)


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
    history: _History = "filled",
    limit: _Limit = None,
    seed: _Seed = 0,
    batch_size: _Batch = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    overwrite: options.Overwrite = False,
) -> None:
    """Patch several heads at once, set by set."""
    from leela_probe.experiments import sweeps

    if (sets is None) == (margin is None):
        raise typer.BadParameter("give either --sets or --pairs", param_hint="'--sets'")
    network = terminal.load(net, device, dtype)
    chosen = (
        sweeps.pairs_of_heads(network, margin=margin or 0)
        if sets is None
        else [
            tuple(options.head(head, "--sets") for head in group.split("+"))
            for group in sets.split(",")
        ]
    )
    sweep = sweeps.head_sets(network, chosen)
    _run(network, sweep, {"sets": sets, "pairs": margin}, pairs, out, _settings(locals()))


_SETTINGS = ("measure", "direction", "limit", "seed", "batch_size", "overwrite")


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """What the running of every sweep takes, out of a subcommand's arguments."""
    from leela_probe.positions.planes import History

    kinds = [kind.value for kind in History]
    return {name: given[name] for name in _SETTINGS if name in given} | {
        "history": History(options.choice(given["history"], kinds, "--history")),
        "screen": given.get("screen"),
        "steps": given.get("steps", 1),
    }


def _run(
    network: Network,
    sweep: Sweep,
    made: Mapping[str, object],
    pairs: Path,
    out: Path,
    settings: dict[str, Any],
) -> None:
    from leela_probe.commands import listings
    from leela_probe.experiments import effects, screen
    from leela_probe.networks.measures import MEASURES

    options.choice(settings["measure"], MEASURES, "--measure")
    options.choice(settings.get("direction", "noising"), effects.DIRECTIONS, "--direction")
    best, steps = settings.pop("screen"), settings.pop("steps")
    if network.dtype != "float32":
        terminal.console().print(
            f"{network.dtype} moves the probability of a move by up to {network.parity:.1e} "
            "(on four positions, against float32)"
        )
    with terminal.stage("patch") as told:
        if best is None:
            finished = effects.run(
                network, pairs, sweep, out, options=dict(made), progress=told, **settings
            )
        else:
            finished = screen.run(
                network,
                pairs,
                sweep,
                out,
                best=best,
                steps=steps,
                options=dict(made),
                progress=told,
                **settings,
            )
    meanings = {
        "measured": "changed runs",
        "no_partner": "puzzles without a corrupted partner",
        "other_side_to_move": "the partner has the other side to move",
        "illegal_in_partner": "the first move is illegal in the partner",
        "illegal_first_move": "the first move is illegal",
        "only_legal_move": "the first move has no rival",
        "nothing_to_change": sweep.reason,
    }
    terminal.console().print(listings.funnel(finished.counts, meanings))
    print(f"wrote {finished.path} and {finished.manifest_path.name}")


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
