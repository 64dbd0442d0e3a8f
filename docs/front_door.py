"""Writes front-door.md, the page of the names to use: `python docs/front_door.py`."""

from __future__ import annotations

import inspect
from pathlib import Path

import leela_probe as lp

PAGE = Path(__file__).parent / "front-door.md"

HEAD = """\
# The names to use

`import leela_probe as lp` is the one import; each name below is loaded when it is first used, and
`help(lp.load)` shows its arguments, what it raises and an example. These names keep their meaning
from release to release, and the changelog says when one does not. Every other module is plumbing:
documented and tested, but it may move.
"""

CHAPTERS = {
    "Networks": [
        "load", "Network", "Evaluation", "squares", "verify", "convert", "random_network",
    ],
    "Activations and interventions": [
        "intervene", "Intervention", "Patch", "Zero", "Mask", "Scale", "Add", "Write",
        "write_activations", "read_activations",
    ],
    "Puzzles": [
        "read_puzzles", "Puzzle", "filter", "Criteria", "corrupt", "Search", "read_pairs", "Pair",
    ],
    "Experiments": [
        "sweeps", "Sweep", "SweepPoint", "measure", "Settings", "sweep", "estimate_effects",
        "screen", "ScreenSettings",
        "read_effects",
        "recovered", "attention", "probe", "ProbeSettings", "Recipe", "probe_accuracy",
    ],
    "Statistics": ["summarise", "compare", "significance", "split_halves", "percentile_curves"],
    "Figures": ["plot", "draw_board", "draw_effects"],
    "Networks whose look-ahead is known": [
        "planted_network", "planted_puzzles", "known_networks", "calibrate",
    ],
    "The whole study": ["Study", "reproduce"],
}  # fmt: skip


def page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    for title, names in CHAPTERS.items():
        parts.append(f"## {title}\n\n{_table({f'lp.{name}': getattr(lp, name) for name in names})}")
        if title == "Networks":
            methods = ("encode", "evaluate", "capture", "stream", "run", "site")
            parts.append(
                "A loaded network answers:\n\n"
                + _table({f"network.{name}": getattr(lp.Network, name) for name in methods})
            )
        if title == "Experiments":
            parts.append(
                "`lp.sweeps` holds one function per kind of experiment:\n\n"
                + _table(
                    {
                        f"lp.sweeps.{name}": getattr(lp.sweeps, name)
                        for name in lp.sweeps.__all__
                        if inspect.isfunction(getattr(lp.sweeps, name))
                    }
                )
            )
    return "\n".join(parts)


def _table(named: dict[str, object]) -> str:
    rows = [f"| `{name}` | {_first_sentence(value)} |" for name, value in named.items()]
    return "\n".join(["| name | what it is |", "| --- | --- |", *rows]) + "\n"


def _first_sentence(value: object) -> str:
    text = inspect.getdoc(value) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
