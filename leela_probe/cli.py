"""The command `leela-probe`: one subcommand a stage.

With the rooms of its subcommands the only one that prints and ends the program: with 0 when done, 1
when it refuses (one clear line, no traceback), 2 for a mistaken command line, 130 when interrupted.
Every import that takes time is made by the subcommand that needs it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer

import leela_probe
from leela_probe.commands import (
    calibrate,
    demo,
    golden,
    options,
    patch,
    plot,
    probe,
    questions,
    reproduce,
    stats,
    terminal,
)

if TYPE_CHECKING:
    from leela_probe.networks.network import Network
    from leela_probe.weights.architectures import Architecture

__all__ = ["app", "main"]

app = typer.Typer(
    name="leela-probe",
    help="Find out whether chess networks look ahead.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Runs the command line and ends the program."""
    try:
        app(prog_name="leela-probe")
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except (ValueError, OSError, LookupError, ImportError, RuntimeError) as error:
        print(f"leela-probe: {_one_line(error)}", file=sys.stderr)
        sys.exit(1)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def _show_version(asked: bool) -> None:
    if asked:
        print(f"leela-probe {leela_probe.__version__}")
        raise typer.Exit


@app.callback(
    epilog="Examples:\n\nleela-probe random attention net.pb.gz\n\n"
    'leela-probe eval net.pb.gz --fen "8/8/8/4k3/8/3QK3/8/8 w - - 0 1"'
)
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


# Networks


@app.command(
    epilog="Examples:\n\nleela-probe info maia-1900.pb.gz --sites\n\n"
    "leela-probe info maia-1900.pb.gz --sites > sites.tsv"
)
def info(
    net: options.Net,
    sites: options.Sites = False,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    policy_head: options.TakenPolicyHead = None,
    value_head: options.TakenValueHead = None,
) -> None:
    """Show what a network is: architecture, input format, hash, parity, named activations."""
    from leela_probe.commands import listings

    network = terminal.load(net, device, dtype, input_format, policy_head, value_head)
    console = terminal.console()
    if sites and not console.is_terminal:
        print(listings.sites_as_text(network.sites))
        return
    console.print(listings.network(network, _architecture(network)))
    if sites:
        console.print()
        console.print(listings.sites(network.sites), soft_wrap=True)


def _architecture(network: Network) -> Architecture | None:
    """All that a Leela file says of its network; an ONNX file does not."""
    from leela_probe.networks import onnx_files
    from leela_probe.weights import weights_files

    if onnx_files.is_named_so(network.path):
        return None
    return weights_files.read_header(network.path).architecture


@app.command(
    name="eval",
    epilog='Examples:\n\nleela-probe eval NET --fen "8/8/8/4k3/8/3QK3/8/8 w - - 0 1"\n\n'
    "leela-probe eval NET --positions positions.txt --json > answers.jsonl",
)
def evaluate(
    net: options.Net,
    fen: options.Fen = None,
    moves: options.Moves = "",
    positions: options.Positions = None,
    as_json: options.AsJson = False,
    top: options.Top = 10,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    policy_head: options.TakenPolicyHead = None,
    value_head: options.TakenValueHead = None,
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
        batches = iter([[questions.position(fen, moves)]])
    else:
        batches = questions.batches(positions)
    first = next(batches)  # what is wrong with it is said before a network is loaded
    network = terminal.load(net, device, dtype, input_format, policy_head, value_head)
    from leela_probe.commands import listings

    console = terminal.console()
    for batch in chain([first], batches):
        answers = network.evaluate([asked.board for asked in batch])
        for i, asked in enumerate(batch):
            if as_json:
                print(json.dumps(listings.answer(asked.fen, asked.moves, answers, i)))
            else:
                console.print(listings.evaluation(network.name, asked.board, answers, i, top=top))


@app.command(epilog="Example:\n\nleela-probe verify maia-1900.pb.gz --device cuda")
def verify(
    net: options.Net,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    input_format: options.Format = None,
    policy_head: options.TakenPolicyHead = None,
    value_head: options.TakenValueHead = None,
) -> None:
    """Compare planes, policy and value with lc0 and with onnxruntime.

    Ends with 1 if anything differs by more than rounding explains.
    """
    from leela_probe.commands import listings
    from leela_probe.networks import lc0_answers, onnx_files, verification

    network = terminal.load(net, device, dtype, input_format, policy_head, value_head)
    comparisons = [verification.between_engines(network)]
    console = terminal.console()
    if onnx_files.is_named_so(net):
        console.print("lc0 takes .pb.gz files: an .onnx file is compared with onnxruntime only.")
    elif not lc0_answers.is_installed():
        console.print("Without lc0's Python module: pip install 'leela-probe\\[lc0]' adds it.")
    else:
        tolerance = comparisons[0].tolerance
        comparisons.append(verification.against_lc0(network, tolerance=tolerance))
    console.print(listings.comparisons(comparisons))
    if not all(found.agrees for found in comparisons):
        raise typer.Exit(1)


@app.command(epilog="Example:\n\nleela-probe convert maia-1900.pb.gz maia-1900.onnx")
def convert(
    source: options.Source,
    target: options.Target,
    policy_head: options.PolicyHead = "vanilla",
    value_head: options.ValueHead = "winner",
    overwrite: options.Overwrite = False,
) -> None:
    """Convert a Leela network to ONNX with lc0, its input format noted in the file."""
    from leela_probe.networks import conversion, onnx_files

    if not onnx_files.is_named_so(target):
        raise typer.BadParameter("expected a name that ends in .onnx", param_hint="'OUT.onnx'")
    with terminal.overwriting():
        conversion.convert(
            source, target, policy_head=policy_head, value_head=value_head, overwrite=overwrite
        )
    print(f"wrote {target}")


@app.command(epilog="Example:\n\nleela-probe random attention strong.pb.gz --seed 1")
def random(
    preset: options.ArchitecturePreset,
    target: options.NetworkTarget,
    seed: options.Seed = 0,
    input_format: options.WrittenFormat = 1,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a Leela network with random weights, for trying things out."""
    from leela_probe.positions.planes import InputFormat
    from leela_probe.weights import architectures, random_networks

    options.choice(preset, architectures.PRESETS, "PRESET")
    options.choice(str(input_format), map(int, InputFormat), "--input-format")
    if not target.name.endswith((".pb.gz", ".pb")):
        raise typer.BadParameter("expected a name that ends in .pb.gz", param_hint="'OUT.pb.gz'")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(target.parent)!r} is not there: make it first")
    with terminal.overwriting():
        if target.exists() and not overwrite:
            raise FileExistsError(
                f"{target} exists already: name another file, or ask to overwrite it"
            )
    architecture = dataclasses.replace(
        architectures.PRESETS[preset], input_format=InputFormat(input_format)
    )
    random_networks.write(target, architecture, seed=seed)
    print(f"wrote {target}")


# Interventions

app.add_typer(patch.app, name="patch")
app.add_typer(stats.app, name="stats")
app.add_typer(plot.app, name="plot")


# Puzzles


@app.command(
    name="filter",
    epilog="Examples:\n\n"
    "leela-probe filter DUMP.csv --strong t82.pb.gz --weak ld2.pb.gz --out f.csv\n\n"
    "leela-probe filter DUMP.csv --sample 100000 --seed 1 --strong t82.pb.gz "
    "--weak ld2.pb.gz --out f.csv",
)
def filter_puzzles(
    dump: options.Dump,
    strong: options.Strong,
    weak: options.Weak,
    out: options.Out,
    preset: options.Preset = "default",
    hard: options.Hard = None,
    correct: options.Correct = None,
    forcing: options.Forcing = None,
    plies: options.Plies = None,
    weak_history: options.WeakHistory = None,
    strong_history: options.StrongHistory = None,
    all_plies: options.AllPlies = False,
    limit: options.Limit = None,
    sample: options.Sample = None,
    seed: options.SampleSeed = 0,
    batch_size: options.BatchSize = 256,
    workers: options.Workers = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    strong_format: options.StrongFormat = None,
    weak_format: options.WeakFormat = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Keep the puzzles on which a right first move is evidence of look-ahead.

    Every row of the dump gets a verdict, the first that applies: malformed,
    mate_in_1, too_short, not_hard, not_correct, not_forcing or kept.

    Killed and started again it goes on where it was.
    """
    from leela_probe.commands import listings
    from leela_probe.puzzles import criteria, filters

    options.choice(preset, criteria.PRESETS, "--preset")
    chosen = dataclasses.replace(
        criteria.PRESETS[preset],
        **_given(hard=hard, correct=correct, forcing=forcing, plies=plies),
        **_histories(weak_history, strong_history),
    )
    loaded = terminal.load(strong, device, dtype, strong_format, format_option="--strong-format")
    sparring = terminal.load(weak, device, dtype, weak_format, format_option="--weak-format")
    with terminal.stage("filter") as told:
        finished = filters.filter_puzzles(
            dump,
            out,
            strong=loaded,
            weak=sparring,
            criteria=chosen,
            all_plies=all_plies,
            limit=limit,
            sample=sample,
            seed=seed,
            batch_size=batch_size,
            workers=workers,
            overwrite=overwrite,
            progress=told,
        )
    meanings = {
        "malformed": "the row cannot be read; the column reason says why",
        "mate_in_1": "by its theme",
        "too_short": f"a solution of fewer than {chosen.plies} plies",
        "not_hard": f"weak network: first move not below {chosen.hard:g}",
        "not_correct": f"strong network: a solver's move not above {chosen.correct:g}",
        "not_forcing": f"weak network: the answer not above {chosen.forcing:g}",
        "kept": "hard, correct and forcing",
    }
    terminal.console().print(listings.funnel(finished.counts, meanings))
    print(f"wrote {finished.path} and {finished.manifest_path.name}")


@app.command(
    epilog="Example:\n\n"
    "leela-probe corrupt f.csv --strong t82.pb.gz --weak ld2.pb.gz --out pairs.csv",
)
def corrupt(
    puzzles: options.Puzzles,
    strong: options.Strong,
    weak: options.Weak,
    out: options.Out,
    preset: options.Preset = "default",
    log_odds: options.LogOdds = None,
    value: options.Value = None,
    probability: options.Probability = None,
    divergence: options.Divergence = None,
    keep: options.Keep = 1,
    kinds: options.Kinds = "remove,add,move",
    no_kings: options.NoKings = False,
    no_line_squares: options.NoLineSquares = False,
    no_third_mover: options.NoThirdMover = False,
    any_first_move: options.AnyFirstMove = False,
    verdicts: options.Verdicts = "kept",
    weak_history: options.WeakHistory = None,
    strong_history: options.StrongHistory = None,
    batch_size: options.BatchSize = 256,
    workers: options.Workers = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    strong_format: options.StrongFormat = None,
    weak_format: options.WeakFormat = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Find each puzzle's corrupted partner: a small change that spoils its best move.

    The weak network hardly notices the change, the strong one does.

    Killed and started again it goes on where it was.
    """
    from leela_probe.commands import listings
    from leela_probe.puzzles import candidates, corruptions, criteria, partners

    options.choice(preset, partners.PRESETS, "--preset")
    search = dataclasses.replace(
        partners.PRESETS[preset],
        **_given(log_odds=log_odds, value=value, probability=probability, divergence=divergence),
        **_histories(weak_history, strong_history),
        keep=keep,
        favourite=not any_first_move,
        kinds=_several(kinds, candidates.KINDS, "--kinds"),
        kings=not no_kings,
        line_squares=not no_line_squares,
        third_mover=not no_third_mover,
    )
    wanted = _several(verdicts, criteria.VERDICTS, "--verdict")
    corruptions.check_verdicts(puzzles, wanted)
    loaded = terminal.load(strong, device, dtype, strong_format, format_option="--strong-format")
    sparring = terminal.load(weak, device, dtype, weak_format, format_option="--weak-format")
    with terminal.stage("corrupt") as told:
        finished = corruptions.corrupt(
            puzzles,
            out,
            strong=loaded,
            weak=sparring,
            search=search,
            verdicts=wanted,
            batch_size=batch_size,
            workers=workers,
            overwrite=overwrite,
            progress=told,
        )
    meanings = {
        "malformed": "the row cannot be read; the column reason says why",
        "not_favourite": "another move is the strong network's favourite",
        "no_candidate": "no allowed change leaves the first move legal",
        "weak_notices": "the weak network notices every change",
        "strong_unmoved": "the strong network notices none of the others",
        "found": "a corrupted partner",
        "further": "more partners of the same puzzles",
    }
    terminal.console().print(listings.funnel(finished.counts, meanings))
    if (remark := corruptions.remark(finished.facts)) is not None:
        terminal.console().print(remark)
    print(f"wrote {finished.path} and {finished.manifest_path.name}")


# Reading activations

app.command(name="probe", epilog=probe.PROBE_EXAMPLE)(probe.probe)
app.command(name="attention", epilog=probe.ATTENTION_EXAMPLE)(probe.attention)


# Networks whose look-ahead is known

app.command(epilog="Example:\n\nleela-probe calibrate --out calibration --seeds 20")(
    calibrate.calibrate
)


# The whole study

app.command(name="reproduce", epilog=reproduce.EXAMPLE)(reproduce.reproduce)
app.command(name="golden", epilog=golden.EXAMPLE)(golden.golden)
app.command(name="demo", epilog=demo.EXAMPLE)(demo.demo)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _histories(weak: str | None, strong: str | None) -> dict[str, Any]:
    from leela_probe.positions.planes import History

    kinds = [history.value for history in History]
    return {
        f"{name}_history": History(options.choice(value, kinds, f"--{name}-history"))
        for name, value in (("weak", weak), ("strong", strong))
        if value is not None
    }


def _several(text: str, allowed: tuple[str, ...], option: str) -> tuple[str, ...]:
    return tuple(options.choice(name.strip(), allowed, option) for name in text.split(","))
