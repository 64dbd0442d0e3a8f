"""What a measurement asks of puzzles and network, and why it is left out where it has not that."""

from __future__ import annotations

from leela_probe.files import manifests
from leela_probe.study.chapter import LeftOut
from leela_probe.study.study import Networks, Study

__all__ = ["heads", "pairs"]


def pairs(study: Study) -> LeftOut | None:
    """That a puzzle has a corrupted input; None if one has."""
    manifest = manifests.read(manifests.manifest_path(study.table("pairs.parquet")))
    if manifest["counts"]["found"]:
        return None
    return LeftOut(reason="no puzzle has a corrupted partner")


def heads(networks: Networks) -> LeftOut | None:
    """That the strong network has attention heads; None if it has."""
    strong = networks.strong
    if strong.heads:
        return None
    return LeftOut(reason=f"{strong.name} is a {strong.body} and has no attention heads")
