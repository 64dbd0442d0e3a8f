"""How a probe is made: size, initialisation, optimiser, split. Two ways, by name."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["JENNER2024", "PRESETS", "SOUND", "Recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How probes are trained and tested.

    Attributes:
        rank: of the bilinear form.
        learning_rate: of Adam.
        weight_decay: of Adam, added to the gradient.
        batch_size: puzzles of a split's training side in a step.
        epochs: passes over the puzzles, at most.
        shuffle: in a new order every epoch; False goes through them as they come.
        normalise: numbers of the condition and of every square are scaled to mean 0 and standard
            deviation 1, as they are on the training side.
        patience: an epoch's weights are kept if their validation loss is the lowest so far, and
            training stops after so many epochs without; None keeps the last epoch's.
        folds: of the split by game; None splits by the file's order.
        train_share: of the split by order.
        seeds: of initial weights; a probe is trained for each.

    Example:
        >>> import leela_probe as lp
        >>> lp.Recipe(epochs=5).folds
        5
    """

    rank: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    batch_size: int = 64
    epochs: int = 60
    shuffle: bool = True
    normalise: bool = True
    patience: int | None = 4
    folds: int | None = 5
    train_share: float = 0.7
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for name in ("rank", "learning_rate", "batch_size", "epochs"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay is {self.weight_decay}: it must not be negative")
        if not self.seeds:
            raise ValueError("no seeds: give at least one, such as (0,)")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience is {self.patience}: take at least 1, or None")
        if self.patience is not None and self.folds is None:
            raise ValueError("patience needs a validation fold: split by game, or take None")


SOUND = Recipe()
"""Shuffled, split by game in five, normalised, stopped on a validation fold."""

JENNER2024 = Recipe(
    rank=32,
    learning_rate=1e-2,
    weight_decay=0.0,
    batch_size=64,
    epochs=5,
    shuffle=False,
    normalise=False,
    patience=None,
    folds=None,
    train_share=0.7,
    seeds=(0, 1, 2, 3, 4),
)
"""As in Jenner et al. (2024): one ordered split, five epochs, no shuffling, raw activations."""

PRESETS = {"sound": SOUND, "jenner2024": JENNER2024}
"""The recipes by name."""
