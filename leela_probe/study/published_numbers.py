"""The numbers that the two look-ahead papers, their code and their pages have published.

Own wording; numbers and names from Jenner et al. 2024 (arXiv 2406.00877) and Cruz 2025 (arXiv
2505.21552), the code and pages that belong to them. `secondary` numbers are quoted from surveys,
`digitised` ones read off an image to within 0.03.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["NUMBERS", "Published"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published number, and where the study's tables have the same quantity.

    Attributes:
        experiment: such as "E1".
        what: in words.
        value: the number; the paper's sign and unit.
        half_width: of the published interval, or what rounding leaves open.
        relation: "equal", or "above": the number is a bound.
        source: where it stands.
        table: the table of the study that has it; None if no study does, see `missing`.
        where: values of columns that choose the row.
        column: the column with the estimate.
        kind: how it is read: "cell", "peak" (largest over layers, without what comes before
            layer 0), "rank" (place of the row's head), "sum" (of several rows).
        missing: why no study has it, for those that are not part of one.
        shape: the number is of a layer or head of the paper's network.
        detail: one of a long list: a pattern, a point of a curve, a head of a table.
    """

    experiment: str
    what: str
    value: float
    half_width: float = 0.0
    relation: str = "equal"
    source: str
    table: str | None = None
    where: dict[str, object] = field(default_factory=dict)
    column: str = "estimate"
    kind: str = "cell"
    missing: str = ""
    shape: bool = False
    detail: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it is a share of puzzles; else it is an effect in nats, a place or a count."""
        return (
            self.column in ("share", "accuracy", "top1")
            or self.kind in ("kept", "skipped", "sum")
            or "threshold" in self.where
        )


_PAPER = "Jenner et al. 2024"
_SURVEY = "Jenner et al. 2024, by a survey (secondary)"
_IMAGE = "Jenner et al. 2024, project page, digitised"
_VECTOR = "Jenner et al. 2024, project page, vector figure"
_CODE = "Cruz 2025, code"
_FOLLOW_UP = "Cruz 2025"
_TREES = "Gusanidas, code"

_RESIDUAL = {
    "corrupted": (
        5.21, 5.27, 5.24, 5.15, 4.85, 4.10, 3.45, 2.79,
        2.10, 1.54, 0.91, 0.54, 0.34, 0.07, 0.05,
    ),
    "first": (
        0.00, 0.02, 0.04, 0.07, 0.10, 0.33, 0.43, 0.60,
        0.74, 1.05, 1.54, 2.08, 3.31, 4.32, 4.57,
    ),
    "third_and_later": (
        0.00, 0.03, 0.06, 0.10, 0.11, 0.38, 0.58, 0.98,
        1.33, 1.47, 1.88, 1.85, 0.64, 0.19, 0.13,
    ),
    "other": (
        0.00, 0.05, 0.06, 0.10, 0.15, 0.22, 0.31, 0.40,
        0.44, 0.53, 0.55, 0.45, 0.31, 0.22, 0.63,
    ),
}  # fmt: skip
_WORDS = {
    "corrupted": "corrupted squares (largest)",
    "first": "first target",
    "third_and_later": "third and later targets (largest)",
    "other": "other squares (largest)",
}
_PROBE = (
    0.4278, 0.6723, 0.7091, 0.7440, 0.7393, 0.7876, 0.8113, 0.8406,
    0.8638, 0.8797, 0.8893, 0.9016, 0.9161, 0.9145, 0.5935,
)  # fmt: skip
_PROBE_HALF = (
    0.0127, 0.0121, 0.0114, 0.0110, 0.0110, 0.0104, 0.0099, 0.0096,
    0.0088, 0.0080, 0.0081, 0.0076, 0.0070, 0.0081, 0.0161,
)  # fmt: skip
_RANDOM = (
    0.1121, 0.1210, 0.1151, 0.1450, 0.1424, 0.1330, 0.1392, 0.1221,
    0.1370, 0.1459, 0.1396, 0.1341, 0.1478, 0.1442, 0.1170,
)  # fmt: skip
_RANDOM_HALF = (
    0.0449, 0.0170, 0.0235, 0.0270, 0.0252, 0.0200, 0.0237, 0.0196,
    0.0113, 0.0231, 0.0125, 0.0262, 0.0217, 0.0272, 0.0352,
)  # fmt: skip
_PATTERNS = {
    "112": 7394, "111": 3853, "11234": 3126, "123": 2455, "11231": 1360, "11233": 676,
    "12345": 430, "11222": 305, "12334": 237, "11112": 227, "11123": 222, "12333": 218,
    "11122": 204, "122": 202, "11223": 185, "12344": 160, "1123456": 130, "11221": 98,
    "12342": 65, "11111": 61, "1123344": 57, "12223": 56,
}  # fmt: skip
_ALL = 22517
_HEADS = ("12.12", "12.17", "7.19", "13.3", "5.14", "12.6", "10.22", "13.12", "14.1", "13.18")
_BY_PATTERN = {
    "112": (0.52, 0.16, 0.19, 0.16, 0.13, 0.15, 0.10, 0.13, 0.11, 0.07),
    "111": (0.02, 0.00, 0.08, 0.03, 0.04, 0.01, 0.05, 0.02, 0.10, 0.09),
    "123": (0.11, 0.02, 0.08, 0.08, 0.07, 0.04, 0.09, 0.05, 0.08, 0.16),
    "11223": (0.63, 0.10, 0.18, 0.21, 0.20, 0.27, 0.08, 0.27, 0.09, 0.10),
    "11231": (0.09, 0.96, 0.16, 0.15, 0.18, 0.10, 0.14, 0.09, 0.17, 0.04),
    "11233": (0.57, 0.24, 0.20, 0.15, 0.10, 0.11, 0.13, 0.09, 0.11, 0.02),
    "11234": (0.50, 0.38, 0.21, 0.21, 0.15, 0.23, 0.32, 0.20, 0.16, 0.06),
    "12334": (0.20, 0.09, 0.15, 0.15, 0.09, 0.08, 0.02, 0.07, 0.07, 0.16),
    "12345": (0.11, 0.03, 0.11, 0.09, 0.07, 0.06, 0.08, 0.07, 0.05, 0.19),
    "1123456": (0.30, 0.18, 0.06, 0.19, 0.31, 0.16, 0.15, 0.14, 0.13, 0.02),
}
_STRONGEST = {
    "112": (("12.12", 0.7319), ("13.3", 0.1939), ("7.19", 0.1896)),
    "111": (("11.13", 0.3864), ("11.10", 0.3510), ("13.4", 0.2779)),
    "122": (("14.10", 0.1796), ("13.4", 0.1666), ("13.18", 0.1607)),
    "123": (("13.18", 0.1815), ("14.22", 0.1762), ("14.10", 0.1746)),
}
_OTHER_PLIES = (
    ("first branch, move 1 (layer 13)", 0.91, 0.06), ("second branch, move 1 (14)", 0.89, 0.07),
    ("first branch, move 3 (11)", 0.62, 0.10), ("second branch, move 3 (13)", 0.40, 0.10),
    ("first branch, move 1, random network", 0.46, 0.0),
    ("second branch, move 1, random network", 0.38, 0.0),
    ("first branch, move 3, random network", 0.07, 0.0),
    ("second branch, move 3, random network", 0.02, 0.0),
    ("12334-like, move 3 (11)", 0.77, 0.10), ("12334-like, move 5 (12)", 0.74, 0.10),
    ("12334-like, move 3, random network", 0.26, 0.0),
    ("12334-like, move 5, random network", 0.13, 0.0),
)  # fmt: skip
_LONG = (
    ("solutions of exactly 7 plies", 229775), ("... target 7 is not target 1", 217795),
    ("... nor target 3", 205366), ("... nor target 5", 179483), ("... hard and forcing", 10370),
    ("... and solved", 2496), ("7 plies, second version: hard below 0.2", 69886),
    ("... and solved", 24492), ("9 plies, by target", 63198), ("... next", 60624),
    ("... next", 58417), ("... next", 55688), ("... next", 49530), ("... hard", 18187),
    ("... solved", 4707), ("solutions of 5 plies", 1013070), ("solutions of 3 plies", 2239735),
    ("... of them mates in 2", 475342), ("1123456 in the set of 7 plies", 541),
)  # fmt: skip


_NO_TREE = "a study plays no tree of the network's own moves"
_NO_BRANCH = "a study looks for no puzzles with two branches"
_NO_SELECTION = "a study does not choose puzzles by their effect"
_TREE_SHARES = (
    ("the same, in the half of the puzzles with the larger effect", 2445, 6000, _NO_SELECTION),
    ("the same for the fifth target, in the 3 % with the largest effect", 135, 360, _NO_SELECTION),
    ("the same for the third target of another line", 224, 2597, _NO_TREE),
    ("the same for another line, where its effect is above 0.5", 116, 309, _NO_TREE),
)
_TREE_COUNTS = (
    ("puzzles kept for path 010, of 12,000", 6152), ("the top 4 % of path 010", 480),
    ("the top 10 % of path 00000", 991),
)  # fmt: skip
_BRANCHES = (
    ("early mates in two, before", 11813), ("... next", 903), ("... next", 829),
    ("... at the end", 430), ("another set, before", 597), ("... at the end", 309),
    ("no mates, after hard and forcing", 144), ("... of them 123456", 29),
    ("... of them 112334", 16), ("... of them 123425", 16), ("... of them 112345", 14),
    ("... of them 123455", 13), ("... of them 112344", 12), ("... of them 123445", 11),
    ("... of them 122334", 7), ("... of them 122345", 6), ("the last set", 609),
)  # fmt: skip


def _head(text: str) -> dict[str, object]:
    layer, head = text.split(".")
    return {"layer": int(layer), "head": int(head)}


def _numbers() -> Iterator[Published]:
    # E0, puzzles
    yield Published(
        experiment="E0", what="rows that end with a partner, of those that are no mate in one",
        value=0.0246, half_width=0.00005, source=_PAPER + ", computed from row numbers",
        table="funnel", kind="kept",
    )  # fmt: skip
    yield Published(
        experiment="E0", what="puzzles whose first two moves go to one square", value=0.83,
        half_width=0.005, source=_SURVEY, table="target_patterns", where={"target_pattern": "11*"},
        column="share", kind="sum",
    )  # fmt: skip
    yield Published(
        experiment="E0", what="puzzles whose first and third target are the same", value=0.203,
        relation="above", source=_CODE + ", computed", table="target_patterns",
        where={"target_pattern": "1?1*"}, column="share", kind="sum",
    )  # fmt: skip
    for pattern, count in _PATTERNS.items():
        yield Published(
            experiment="E0", what=f"share of pattern {pattern}", value=count / _ALL,
            half_width=0.5 / _ALL, source=_CODE, table="target_patterns",
            where={"target_pattern": pattern}, column="share", detail=True,
        )  # fmt: skip
    # E1, residual stream
    every = {"split": "all"}
    yield Published(
        experiment="E1", what="third and later targets, layer 10", value=1.88, half_width=0.04,
        source=_SURVEY, table="residual", shape=True,
        where={**every, "category": "third_and_later", "layer": 10},
    )  # fmt: skip
    yield Published(
        experiment="E1", what="largest over other squares, layer 10", value=0.55, half_width=0.01,
        source=_SURVEY, table="residual", where={**every, "category": "other", "layer": 10},
        shape=True,
    )  # fmt: skip
    yield Published(
        experiment="E1", what="third and later targets, the layer where it is largest", value=1.88,
        half_width=0.04, source=_SURVEY, table="residual", kind="peak",
        where={**every, "category": "third_and_later"},
    )  # fmt: skip
    yield Published(
        experiment="E1", what="puzzles that the rule skips (4 of 10)", value=0.40, half_width=0.26,
        source=_CODE, table="residual", kind="skipped",
    )  # fmt: skip
    for category, curve in _RESIDUAL.items():
        for layer, value in enumerate(curve):
            yield Published(
                experiment="E1", what=f"{_WORDS[category]}, layer {layer}", value=value,
                half_width=0.03, source=_IMAGE, table="residual", shape=True,
                where={**every, "category": category, "layer": layer}, detail=True,
            )  # fmt: skip
    # E2, heads
    yield Published(
        experiment="E2", what="place of head 12.12 among all heads", value=1.0, source=_PAPER,
        table="heads", where={**every, **_head("12.12")}, kind="rank", shape=True,
    )  # fmt: skip
    for pattern, listed in _STRONGEST.items():
        for name, value in listed:
            yield Published(
                experiment="E2", what=f"head {name} in pattern {pattern}", value=value,
                half_width=0.00005, source=_CODE, table="heads_by_target_pattern", shape=True,
                where={"rating": "all", "target_pattern": pattern, **_head(name)}, detail=True,
            )  # fmt: skip
    for pattern, values in _BY_PATTERN.items():
        for name, value in zip(_HEADS, values, strict=True):
            yield Published(
                experiment="F2", what=f"head {name} in pattern {pattern}, rating 1950 or more",
                value=value, half_width=0.005, source=_FOLLOW_UP, table="heads_by_target_pattern",
                where={"rating": ">=1950", "target_pattern": pattern, **_head(name)}, shape=True,
                detail=True,
            )  # fmt: skip
    # E3, E4: ablations
    yield Published(
        experiment="E3", what="puzzles where the entry is worth more than 1.5 nats", value=0.10,
        relation="above", source=_SURVEY, table="shares",
        where={"targets": "all", "sweep": "entry", "curve": "3->1", "threshold": 1.5},
    )  # fmt: skip
    yield Published(
        experiment="E3", what="the entry costs more than all other entries of its head (mean "
        "difference, puzzle by puzzle)", value=0.0, relation="above", source=_SURVEY,
        table="ablation_margins",
        where={"targets": "all", "sweep": "entry", "of": "3->1", "against": "all other entries"},
    )  # fmt: skip
    yield Published(
        experiment="E4", what="puzzles where the third target's column is worth 1.5 nats",
        value=0.60, half_width=0.005, source=_SURVEY, table="shares",
        where={"targets": "all", "sweep": "piece-heads", "curve": "own heads",
               "threshold": 1.5},
    )  # fmt: skip
    # E5, probes
    joint = {"subset": "all", "kind": "joint", "ply": 3, "top": 1, "against": ""}
    own = {**joint, "control": "none"}
    drawn = {**joint, "control": "random weights", "instance": 0}
    yield Published(
        experiment="E5", what="third move read by probes, the layer where it is best", value=0.92,
        half_width=0.01, source=_PAPER, table="probes", where=own, column="accuracy", kind="peak",
    )  # fmt: skip
    yield Published(
        experiment="E5", what="the same out of random weights", value=0.15, half_width=0.02,
        source=_PAPER, table="probes", where=drawn, column="accuracy", kind="peak",
    )  # fmt: skip
    for layer, (value, half) in enumerate(zip(_PROBE, _PROBE_HALF, strict=True)):
        yield Published(
            experiment="E5", what=f"third move read by probes, layer {layer}", value=value,
            half_width=half, source=_VECTOR, table="probes", where={**own, "layer": layer},
            column="accuracy", shape=True, detail=True,
        )  # fmt: skip
    for layer, (value, half) in enumerate(zip(_RANDOM, _RANDOM_HALF, strict=True)):
        yield Published(
            experiment="E5", what=f"random weights, layer {layer}", value=value, half_width=half,
            source=_VECTOR, table="probes", where={**drawn, "layer": layer}, column="accuracy",
            shape=True, detail=True,
        )  # fmt: skip
    # T6, what the head looks at, untouched
    for relation, place, count, of in (
        ("3->1", "third target to the first", 3366, 12000),
        ("5->1", "fifth target to the first", 487, 4444),
    ):
        yield Published(
            experiment="T6", what=f"largest entry of head 12.12 is that from the {place}",
            value=count / of, half_width=0.5 / of, source=_TREES, table="relations",
            where={**_head("12.12"), "relation": relation}, column="top1", shape=True,
        )  # fmt: skip
    yield Published(
        experiment="T6", what="puzzles kept if only the third target counts as later",
        value=8673 / 12000, half_width=0.5 / 12000, source=_TREES, table="rules",
        where={"rule": "third target alone"}, column="share",
    )  # fmt: skip
    # What is not part of a study
    for experiment, what, value, half, missing, source in _apart():
        yield Published(
            experiment=experiment, what=what, value=value, half_width=half, missing=missing,
            source=source,
        )  # fmt: skip


def _apart() -> Iterator[tuple[str, str, float, float, str, str]]:
    """Numbers that no study has, with the reason."""
    for what, count, of, why in _TREE_SHARES:
        yield "T6", what, count / of, 0.5 / of, why, _TREES
    for what, count in _TREE_COUNTS:
        yield "T6", what, float(count), 0.0, _NO_TREE, _TREES
    for what, count in _BRANCHES:
        yield "T2", f"puzzles with two branches: {what}", float(count), 0.0, _NO_BRANCH, _CODE
    for what, value, half in _OTHER_PLIES:
        why = "a study probes the third move (leela-probe probe --plies asks about others)"
        yield "F4", f"probes for other plies: {what}", value, half, why, _FOLLOW_UP
    for what, count in _LONG:
        why = "a study makes one set of puzzles, not one for each length"
        yield "F5", f"puzzles: {what}", float(count), 0.0, why, _CODE


NUMBERS: tuple[Published, ...] = tuple(_numbers())
"""All of them, by experiment."""
