/* What one ply shows of a move: what a player sees who looks at the position after it and no further. */

enum {
    REPLIES,   /* legal replies; a stalemate counts as many */
    ESCAPES,   /* of these, moves of their king */
    GIVES_CHECK,
    MATES,
    TAKEN,     /* half pawns won by taking */
    PROMOTED,  /* half pawns won by promoting */
    LOST,      /* half pawns that the man that moved is worth, where it can be taken at a profit */
    RESCUED,   /* half pawns that it is worth, where it could be taken before */
    ZONE,      /* squares beside their king that own men attack */
    DISTANCE,  /* of the square moved to from their king */
    MAN,       /* the piece that moved */
    FEATURES
};

/* Features of every legal move that a record holds, in its order. */
static void see_one_ply(const Position *p, const Record *record,
                        int16_t features[MOST_MOVES][FEATURES]) {
    Move moves[ALL_MOVES], replies[ALL_MOVES];
    const int n = legal(p, moves, 0);
    for (int i = 0; i < n; i++) {
        int at = 0;
        while (at < record->count && record->moves[at] != (moves[i] & 0x7FFF)) at++;
        if (at == record->count) continue;
        int16_t *seen = features[at];
        Position after;
        const int to = to_of(moves[i]), piece = piece_of(moves[i]), result = after_of(moves[i]);
        make(p, moves[i], &after);
        const int king = king_of(&after, OWN), count = legal(&after, replies, 0);
        seen[GIVES_CHECK] = (int16_t)checked(&after);
        seen[MATES] = (int16_t)(!count && seen[GIVES_CHECK]);
        seen[REPLIES] = (int16_t)(count || seen[MATES] ? count : ALL_MOVES);
        for (int j = 0; j < count; j++) seen[ESCAPES] += piece_of(replies[j]) == KING;
        for (int i2 = 0; i2 < 6; i2++)
            if (p->pieces[THEIR][i2] & BIT(to)) seen[TAKEN] = (int16_t)value[i2];
        if (moves[i] & EN_PASSANT) seen[TAKEN] = (int16_t)value[PAWN];
        seen[PROMOTED] = (int16_t)(value[result] - value[piece]);
        if (hangs(&after, THEIR, to ^ 56, result)) seen[LOST] = (int16_t)value[result];
        if (hangs(p, OWN, from_of(moves[i]), piece)) seen[RESCUED] = (int16_t)value[piece];
        for (u64 zone = king_reach[king]; zone;)
            seen[ZONE] += attackers(&after, THEIR, take(&zone), men_of(&after) ^ BIT(king)) != 0;
        seen[DISTANCE] = (int16_t)distance[king][to ^ 56];
        seen[MAN] = (int16_t)piece;
    }
}
