"""The chapters of a study in their order. Nothing else names them.

They are imported when they are asked for, so that a list of commands costs no torch.
"""

from __future__ import annotations

from functools import cache

from leela_probe.study.chapter import Chapter, Command, Measurement

__all__ = ["DERIVED", "chapters", "commands", "measurements", "stages"]

DERIVED = "page"
"""The stage that makes tables, figures and the page from what is measured."""


@cache
def chapters() -> tuple[Chapter, ...]:
    """All chapters, in the order of the page; what a chapter builds on comes before it."""
    from leela_probe.study.chapters import (
        attention,
        controls,
        entry,
        heads,
        lens,
        piece_heads,
        probes,
        puzzles,
        residual,
    )

    modules = (puzzles, residual, controls, heads, entry, piece_heads, probes, attention, lens)
    return tuple(module.CHAPTER for module in modules)


def commands() -> tuple[Command, ...]:
    """The commands that chapters bring along."""
    from leela_probe.study.chapters import lens

    return (lens.COMMAND,)


def measurements() -> list[Measurement]:
    """The measurements of all chapters, in the order in which they are made."""
    return [each for chapter in chapters() for each in chapter.measurements]


def stages() -> list[str]:
    """The names of all stages, in their order."""
    return [*(each.name for each in measurements()), DERIVED]
