"""What runs of some boards are judged by: the legal moves, the move asked about, the clean run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import chess
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from leela_probe.networks.measures import Runs
from leela_probe.positions.encoding import EncodedBoards

__all__ = ["Reference"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What the runs of each of some boards are judged by.

    Attributes:
        legal: the slots of the legal moves.
        slot: the slot of the move that is asked about.
        clean_logits: the policy of the clean run.
    """

    legal: Bool[Tensor, "board slot"]
    slot: Int[Tensor, " board"]
    clean_logits: Float[Tensor, "board slot"]

    @classmethod
    def of(
        cls,
        encoded: EncodedBoards,
        moves: Sequence[chess.Move],
        clean_logits: Float[Tensor, "board slot"],
    ) -> Reference:
        """The reference of boards and a legal move of each.

        Args:
            encoded: the clean boards.
            moves: castling as python-chess has it: the king's move, not that to the rook.
            clean_logits: the policy of their clean runs.

        Raises:
            ValueError: if a move is not legal.
        """
        legal = torch.zeros(clean_logits.shape, dtype=torch.bool)
        slots = []
        for board, move in enumerate(moves):
            own = encoded.slots[encoded.offsets[board] : encoded.offsets[board + 1]]
            legal[board, torch.from_numpy(own.astype(np.int64))] = True
            if move not in encoded.moves[board]:
                raise ValueError(f"{move.uci()} is not a legal move of board {board}")
            slots.append(int(own[encoded.moves[board].index(move)]))
        device = clean_logits.device
        return cls(
            legal=legal.to(device),
            slot=torch.tensor(slots, dtype=torch.int64, device=device),
            clean_logits=clean_logits,
        )

    def runs(
        self,
        logits: Float[Tensor, "run slot"],
        boards: Tensor,
        *,
        value: Float[Tensor, "run outcome"] | None = None,
    ) -> Runs:
        """Runs as measures take them.

        Args:
            logits: the raw policy of each run.
            boards: the board that each run is of: numbers, or a mask of those that have one.
            value: the value logits of each run.
        """
        device = logits.device
        boards = boards.to(self.slot.device)
        return Runs(
            logits=logits,
            value=value,
            legal=self.legal[boards].to(device),
            slot=self.slot[boards].to(device),
            clean_logits=self.clean_logits[boards].to(device),
        )
