"""What a network answers for a batch of positions: policy over legal moves, WDL, Q, moves left.

Everything is from the side of the player to move, in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import chess
import numpy as np
from jaxtyping import Float32
from markupsafe import Markup

from leela_probe.positions import board_html
from leela_probe.positions.encoding import EncodedBoards

__all__ = ["Evaluation", "from_logits", "log_softmax_over_legal_moves"]

BOARDS_SHOWN = 6
"""How many boards of a batch an evaluation keeps to show in Jupyter."""
_MOVES_SHOWN, _MOVES_IN_LINE = 6, 3


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Evaluation:
    """A network's answers for a batch of positions.

    Attributes:
        encoded: the positions as the network saw them, with their legal moves.
        logits: the raw policy, one number for each of the 1858 slots.
        log_probabilities: natural logarithm of the softmax over each board's legal moves, flat:
            board i owns the entries from `encoded.offsets[i]` to `encoded.offsets[i + 1]`, in the
            order of `encoded.moves[i]`.
        wdl: probabilities of win, draw and loss, or None if the network has no such head.
        q: win minus loss, or the value of a scalar head; -1 to 1; None without a value head.
        moves_left: expected number of plies left, or None.
        shown: copies of the first boards, for Jupyter; empty where only packed boards were given.

    Example:
        >>> import leela_probe as lp
        >>> import chess
        >>> board = chess.Board("6k1/pp3ppp/4b3/1B1r4/P2b1q2/8/1PQ2PPP/4R1K1 w - - 0 1")
        >>> evaluation = lp.load("bundled:strong").evaluate([board])
        >>> board.san(next(iter(evaluation.policy(0))))
        'Qc8+'
    """

    encoded: EncodedBoards
    logits: Float32[np.ndarray, "board slot"]
    log_probabilities: Float32[np.ndarray, "legal_move"]
    wdl: Float32[np.ndarray, "board outcome"] | None
    q: Float32[np.ndarray, "board"] | None
    moves_left: Float32[np.ndarray, "board"] | None
    shown: tuple[chess.Board, ...] = ()

    def __len__(self) -> int:
        return len(self.encoded)

    @property
    def probabilities(self) -> Float32[np.ndarray, "legal_move"]:
        """The probability of each legal move, flat like `log_probabilities`."""
        return np.exp(self.log_probabilities)

    def policy(self, board: int) -> dict[chess.Move, float]:
        """The probability of each legal move of one board of the batch, the likeliest first.

        Empty for a position without legal moves (checkmate, stalemate).

        Args:
            board: the position's index in the batch.

        Raises:
            IndexError: if the batch has no such board.
        """
        if not -len(self) <= board < len(self):
            raise IndexError(f"board {board} is not in a batch of {len(self)}")
        board %= len(self)
        start, end = self.encoded.offsets[board], self.encoded.offsets[board + 1]
        values = np.exp(self.log_probabilities[start:end])
        moves = self.encoded.moves[board]
        return {moves[i]: float(values[i]) for i in np.argsort(-values, kind="stable")}

    def log_probability(self, moves: Sequence[chess.Move]) -> Float32[np.ndarray, "board"]:
        """The log probability of one given move of each board, in the order of the boards.

        Raises:
            ValueError: naming the board and the move, if one is illegal; or if there is not one
                move for each board.
        """
        if len(moves) != len(self):
            raise ValueError(f"{len(moves)} moves for {len(self)} boards: give one move for each")
        index = np.empty(len(self), dtype=np.int64)
        for board, move in enumerate(moves):
            try:
                place = self.encoded.moves[board].index(move)
            except ValueError:
                raise ValueError(
                    f"{move.uci()} is no legal move of board {board} of the batch: its moves are "
                    f"{' '.join(sorted(m.uci() for m in self.encoded.moves[board])) or 'none'}"
                ) from None
            index[board] = self.encoded.offsets[board] + place
        return self.log_probabilities[index]

    def probability(self, moves: Sequence[chess.Move]) -> Float32[np.ndarray, "board"]:
        """The probability of one given move of each board; see `log_probability`."""
        return np.exp(self.log_probability(moves))

    def top_moves(self) -> tuple[chess.Move | None, ...]:
        """The likeliest move of each board; None for a position without legal moves."""
        offsets = self.encoded.offsets
        return tuple(
            moves[int(np.argmax(self.log_probabilities[offsets[i] : offsets[i + 1]]))]
            if moves
            else None
            for i, moves in enumerate(self.encoded.moves)
        )

    def __repr__(self) -> str:
        lines = [f"<Evaluation of {len(self)} position{'' if len(self) == 1 else 's'}"]
        for board in range(min(len(self), BOARDS_SHOWN)):
            moves = [*self.policy(board).items()][:_MOVES_IN_LINE]
            likeliest = ", ".join(f"{move.uci()} {p:.1%}" for move, p in moves) or "no legal move"
            values = self._values(board)
            lines.append(f"  {board}: {likeliest}{'; ' if values else ''}{values}")
        if len(self) > BOARDS_SHOWN:
            lines.append(f"  and {len(self) - BOARDS_SHOWN:,} more")
        return "\n".join(lines) + ">"

    def _repr_html_(self) -> str:
        """The first boards, each with its likeliest moves, as Jupyter shows them."""
        parts = []
        for i, board in enumerate(self.shown):
            parts.append(board_html.board(board, caption=self._values(i)))
            moves = [*self.policy(i).items()][:_MOVES_SHOWN]
            parts.append(
                board_html.table(
                    [{"move": board.san(move), "probability": f"{p:.1%}"} for move, p in moves]
                )
                if moves
                else Markup("no legal move")
            )
        hidden = len(self) - len(self.shown)
        return board_html.row(parts, note=f"{hidden} more boards, not shown" if hidden else "")

    def _values(self, board: int) -> str:
        """What the value heads say of one board, in words."""
        said = []
        if self.wdl is not None:
            said.append("win {:.0%}, draw {:.0%}, loss {:.0%}".format(*self.wdl[board]))
        if self.q is not None:
            said.append(f"Q {self.q[board]:+.2f}")
        if self.moves_left is not None:
            said.append(f"{self.moves_left[board]:.0f} plies left")
        return "; ".join(said)


def from_logits(
    encoded: EncodedBoards,
    logits: Float32[np.ndarray, "board slot"],
    *,
    wdl: Float32[np.ndarray, "board outcome"] | None,
    value: Float32[np.ndarray, "board"] | None,
    moves_left: Float32[np.ndarray, "board"] | None,
    shown: tuple[chess.Board, ...] = (),
) -> Evaluation:
    """The evaluation that these outputs of a network make."""
    return Evaluation(
        encoded=encoded,
        shown=shown,
        logits=logits,
        log_probabilities=log_softmax_over_legal_moves(logits, encoded),
        wdl=wdl,
        q=wdl[:, 0] - wdl[:, 2] if wdl is not None else value,
        moves_left=moves_left,
    )


def log_softmax_over_legal_moves(
    logits: Float32[np.ndarray, "board slot"], encoded: EncodedBoards
) -> Float32[np.ndarray, "legal_move"]:
    """The log softmax of each board's logits over its legal moves alone, flat, in nats."""
    counts = np.diff(encoded.offsets)
    board = np.repeat(np.arange(len(counts)), counts)
    legal = logits[board, encoded.slots].astype(np.float64)
    some = counts > 0  # reduceat would give a board without moves its neighbour's number
    if not some.any():
        return legal.astype(np.float32)
    starts = encoded.offsets[:-1][some]
    highest = np.repeat(np.maximum.reduceat(legal, starts), counts[some])
    total = np.repeat(np.add.reduceat(np.exp(legal - highest), starts), counts[some])
    return (legal - highest - np.log(total)).astype(np.float32)
