"""The command `leela-probe info`: what a network is, and the names of its activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from rich.console import Group
from rich.table import Table
from rich.text import Text

from leela_probe.commands import options, terminal
from leela_probe.commands.groups import DeviceOptions, HeadOptions
from leela_probe.commands.registration import Command

if TYPE_CHECKING:
    from leela_probe.networks.network import Network
    from leela_probe.networks.sites import Site
    from leela_probe.weights.architectures import Activation, Architecture

__all__ = ["COMMAND", "info", "network", "sites", "sites_as_text"]


def info(
    net: options.Net,
    listed: Annotated[
        bool,
        options.flag(
            "--sites",
            "List the named activations: on a terminal one entry per kind, elsewhere every one of "
            "them as tab-separated lines and nothing else.",
        ),
    ] = False,
    *,
    heads: HeadOptions,
    run: DeviceOptions,
) -> None:
    """Show what a network is: architecture, input format, hash, parity, named activations."""
    loaded = heads.load(net, run)
    console = terminal.console()
    if listed and not console.is_terminal:
        print(sites_as_text(loaded.sites))
        return
    console.print(network(loaded, _architecture(loaded)))
    if listed:
        console.print()
        console.print(sites(loaded.sites), soft_wrap=True)


COMMAND = Command(
    name="info",
    run=info,
    examples=(
        "leela-probe info bundled:strong --sites",
        "leela-probe info bundled:strong --sites > sites.tsv",
    ),
)


def _architecture(network: Network) -> Architecture | None:
    """All that a Leela file says of its network; an ONNX file does not."""
    from leela_probe.networks import onnx_files
    from leela_probe.weights import weights_files

    if onnx_files.is_named_so(network.path):
        return None
    return weights_files.read_header(network.path).architecture


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
        ("weights", f"{loaded.parameter_count:,}"),
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
    if loaded.lost_sites:
        joined = (
            f"{', '.join(loaded.lost_sites)}: joined with others by the tool that wrote the file"
        )
        facts.append(("not in the file", joined))
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
