"""FENs to boards, many times as fast as python-chess where they are plain.

Dumps hold millions of positions, and python-chess takes most of the time of a puzzle to read its
FEN piece by piece. Whatever is not plain here is left to python-chess, except for what it reads and
lc0 refuses: promoted pieces marked with ~, letters and spaces outside ASCII, castling rights
without a rook, and move numbers beyond 31 bits.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

import chess

__all__ = ["board"]

_EMPTY = {str(count): count for count in range(1, 9)}
_MASK = {  # the bit of a piece on the a-file of the first rank, by its letter
    symbol: 1 << 64 * chess.PIECE_SYMBOLS.index(symbol.lower())
    | (1 << 64 * 7 if symbol.isupper() else 1)
    for symbol in "PNBRQKpnbrqk"
}
_EIGHT_MASKS = Struct("<8Q")  # Black's, those of the six kinds of pieces, White's


LARGEST_NUMBER = (1 << 31) - 1
"""The largest half-move clock and move number that lc0 reads."""


def board(fen: str) -> chess.Board:
    """The position of a FEN; the same as `chess.Board(fen)` wherever lc0 reads the FEN too.

    Raises:
        ValueError: it is not a FEN, or one that lc0 refuses; the message says why.

    Example:
        >>> board("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1").piece_at(chess.E2).symbol()
        'P'
    """
    if not fen.isascii():
        odd = next(symbol for symbol in fen if not symbol.isascii())
        raise ValueError(f"{odd!r} (U+{ord(odd):04X}) has no meaning in a FEN")
    parts = fen.split()
    if len(parts) == 6:
        placement, turn, castling, en_passant, clock, number = parts
        plain = turn in ("w", "b") and clock.isdecimal() and number.isdecimal()
        if plain and (en_passant == "-" or en_passant in chess.SQUARE_NAMES):
            result = _placed(placement)
            if result is not None and _castles(result, castling):
                result.turn = turn == "w"
                result.halfmove_clock = _number(clock, "half-move clock")
                result.fullmove_number = max(_number(number, "move number"), 1)
                if en_passant != "-":
                    result.ep_square = chess.SQUARE_NAMES.index(en_passant)
                return result
    result = chess.Board(fen)
    if len(parts) > 2:
        _refuse_lost_rights(result, parts[2])
    if "~" in fen:
        raise ValueError("'~' after a promoted piece belongs to other games (Crazyhouse)")
    for text, name in zip(parts[4:], ("half-move clock", "move number"), strict=False):
        _number(text, name)
    return result


def _number(text: str, name: str) -> int:
    """
    Raises:
        ValueError: it is not a number, or larger than those of lc0.
    """
    if len(text) > 10 or not text.isdecimal() or (number := int(text)) > LARGEST_NUMBER:
        raise ValueError(f"the {name} {text[:24]!r} is not a number from 0 to {LARGEST_NUMBER:,}")
    return number


def _castles(board: chess.Board, rights: str) -> bool:
    """Give a board its castling rights; False if the text is none."""
    if rights != "-":
        try:
            board.set_castling_fen(rights)
        except ValueError:
            return False
        _refuse_lost_rights(board, rights)
    return True


def _refuse_lost_rights(board: chess.Board, rights: str) -> None:
    """
    Raises:
        ValueError: for some of the rights there is no rook, so that python-chess leaves them out.
    """
    if rights != "-" and chess.popcount(board.castling_rights) < len(set(rights)):
        raise ValueError(f"for some of the castling rights {rights!r} there is no king and rook")


def _placed(placement: str) -> chess.Board | None:
    """A board with these pieces and nothing else; None if the text is not plain."""
    ranks = placement.split("/")
    if len(ranks) != 8:
        return None
    masks = 0
    for text in ranks:
        rank = _rank(text)
        if rank is None:
            return None
        masks = masks << 8 | rank
    result = chess.Board(None)
    (
        black, result.pawns, result.knights, result.bishops, result.rooks, result.queens,
        result.kings, white,
    ) = _EIGHT_MASKS.unpack(masks.to_bytes(64, "little"))  # fmt: skip
    result.occupied_co[chess.BLACK], result.occupied_co[chess.WHITE] = black, white
    result.occupied = black | white
    return result


@lru_cache(maxsize=1 << 15)  # the same ranks come again and again
def _rank(text: str) -> int | None:
    """The masks of a rank's pieces, in one number as if it were the first; None if not plain."""
    masks, file, after_digit = 0, 0, False
    for symbol in text:
        empty = _EMPTY.get(symbol)
        if empty is not None and not after_digit:
            file += empty
        elif symbol in _MASK and file < 8:
            masks |= _MASK[symbol] << file
            file += 1
        else:
            return None
        after_digit = empty is not None
    return masks if file == 8 else None
