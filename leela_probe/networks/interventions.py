"""What to do to an activation: where, and what. Descriptions only; `patching` carries them out.

Actions of one field take it by position too: `Scale(0.5)` cannot be misread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import index

from torch import Tensor

__all__ = ["Action", "Add", "Intervention", "Mask", "Patch", "Scale", "Write", "Zero"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Take the activation of the other run of the pair.

    Example:
        >>> import leela_probe as lp
        >>> lp.Intervention(site="layer3.residual_after", square=27, action=lp.Patch()).action
        Patch()
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Zero:
    """Set to zero.

    Attributes:
        renormalise: divide each changed row of an attention pattern by what is left of its sum, so
            that it sums to 1 again. A row of which nothing is left stays zero.

    Example:
        >>> import leela_probe as lp
        >>> lp.Intervention(site="layer3.head_output", head=5, action=lp.Zero()).head
        (5,)
    """

    renormalise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """Set to minus infinity: for `scores`, the logits entering the softmax of attention.

    Example:
        >>> import leela_probe as lp
        >>> lp.Intervention(site="layer3.scores", head=5, query=46, key=31, action=lp.Mask()).key
        (31,)
    """


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiply by a factor.

    Example:
        >>> import leela_probe as lp
        >>> lp.Intervention(site="layer3.mlp_output", action=lp.Scale(0.5)).action
        Scale(factor=0.5)
    """

    factor: float


@dataclass(frozen=True, slots=True, eq=False)
class Add:
    """Add a direction: a tensor that broadcasts against the site's axes after `board`.

    Example:
        Steer the stream at one square of every layer:

        >>> import leela_probe as lp
        >>> import torch
        >>> steering = lp.Add(torch.zeros(84))
        >>> sites = [f"layer{layer}.residual_after" for layer in (0, 1)]
        >>> steered = [lp.Intervention(site=site, square=27, action=steering) for site in sites]
        >>> steered[1].square
        (27,)
    """

    direction: Tensor

    def __repr__(self) -> str:
        return f"Add(<{_shape(self.direction)}>)"


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """Write values: a mean over a set of boards, another board's activation, anything.

    Attributes:
        values: a tensor with the site's axes after `board`. `resample` and `mean` of `patching`
            make such values.

    Example:
        Mean ablation of a head:

        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> boards = [pair.clean for pair in pairs[:10]]
        >>> outputs = network.capture(boards, ["layer1.head_output"])["layer1.head_output"]
        >>> mean = lp.Write(outputs.mean(dim=0))
        >>> head = lp.Intervention(site="layer1.head_output", head=2, action=mean)
        >>> len(lp.intervene(network, boards, [head]))
        10
    """

    values: Tensor

    def __repr__(self) -> str:
        return f"Write(<{_shape(self.values)}>)"


Action = Patch | Zero | Mask | Scale | Add | Write


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Intervention:
    """One change to one activation.

    Places along an axis are given as a tuple; None is the whole axis. With both `query` and `key`
    given, of equal length, they name entries pair by pair.

    Attributes:
        site: the activation's name, such as `layer3.pattern`.
        action: what is done.
        head: places along the axis `head`.
        square: places along the axis `square`.
        query: places along the axis `query`.
        key: places along the axis `key`.
        complement: True changes everything of the named heads (of all, if none is named) except the
            squares, queries, keys or entries that are given.

    Raises:
        TypeError: if a place is no whole number.
        ValueError: if a place is an empty tuple, queries and keys are not of equal length, or a
            complement names nothing that is left alone.

    Example:
        >>> entry = Intervention(site="layer12.pattern", action=Zero(), head=12, query=46, key=31)
        >>> entry.head, entry.key
        ((12,), (31,))
    """

    site: str
    action: Action
    head: tuple[int, ...] | int | None = None
    square: tuple[int, ...] | int | None = None
    query: tuple[int, ...] | int | None = None
    key: tuple[int, ...] | int | None = None
    complement: bool = False

    def __repr__(self) -> str:
        places = [
            f"{name} {','.join(map(str, _tuple(value)))}"
            for name in _PLACES
            if (value := getattr(self, name)) is not None
        ]
        where = " ".join([self.site, *places])
        return f"<Intervention {where}{' complement' if self.complement else ''}: {self.action!r}>"

    def __post_init__(self) -> None:
        for name in _PLACES:
            value = getattr(self, name)
            if value is not None:
                try:
                    places = _tuple(value)
                except TypeError:
                    raise TypeError(
                        f"{name} {value!r} of {self.site} is not a place: places are whole numbers"
                    ) from None
                if not places:
                    raise ValueError(f"no {name} given for {self.site}: None means all of them")
                object.__setattr__(self, name, places)
        counts = [len(_tuple(entries)) for entries in (self.query, self.key) if entries is not None]
        if len(set(counts)) > 1:
            raise ValueError(
                f"{counts[0]} queries and {counts[1]} keys given for {self.site}: entries are "
                "named pair by pair"
            )
        if self.complement and self.square is self.query is self.key is None:
            raise ValueError(
                f"the complement of {self.site} leaves nothing alone: give square, query or key"
            )


_PLACES = ("head", "square", "query", "key")


def _shape(values: Tensor) -> str:
    return " x ".join(map(str, values.shape)) or "one number"


def _tuple(places: Iterable[int] | int) -> tuple[int, ...]:
    return tuple(map(index, places if isinstance(places, Iterable) else (places,)))
