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

#define MOST_SEEN 9 /* as many replies, escapes or squares, or more */
#define MOST_ORDER 5
#define MANY_REPLIES ALL_MOVES
#define A_MATE (1 << 28)

/* What a score adds up: from where each feature's terms stand. */
enum {
    REPLIES_TERM = 0,
    ESCAPES_TERM = REPLIES_TERM + 2 * (MOST_SEEN + 1),
    ORDER_TERM = ESCAPES_TERM + 2 * (MOST_SEEN + 1),
    ZONE_TERM = ORDER_TERM + MOST_ORDER + 1,
    DISTANCE_TERM = ZONE_TERM + MOST_SEEN,
    MAN_TERM = DISTANCE_TERM + 8,
    STALEMATE_TERM = MAN_TERM + 6,
    CAPTURE_TERM,
    TAKEN_TERM, /* this and four more are per half pawn */
    PROMOTED_TERM,
    OFFER_TERM,
    LOST_TERM,
    CHECKING_OFFER_TERM,
    RESCUED_TERM,
    TERMS
};

static void see_move(const Position *p, Move move, int16_t seen[FEATURES]) {
    Position after;
    Move replies[ALL_MOVES];
    const int to = to_of(move), piece = piece_of(move), result = after_of(move);
    memset(seen, 0, FEATURES * sizeof *seen);
    make(p, move, &after);
    const int king = king_of(&after, OWN), count = legal(&after, replies, 0);
    seen[GIVES_CHECK] = (int16_t)checked(&after);
    seen[MATES] = (int16_t)(!count && seen[GIVES_CHECK]);
    seen[REPLIES] = (int16_t)(count || seen[MATES] ? count : MANY_REPLIES);
    for (int i = 0; i < count; i++) seen[ESCAPES] += piece_of(replies[i]) == KING;
    for (int i = 0; i < 6; i++)
        if (p->pieces[THEIR][i] & BIT(to)) seen[TAKEN] = (int16_t)value[i];
    if (move & EN_PASSANT) seen[TAKEN] = (int16_t)value[PAWN];
    seen[PROMOTED] = (int16_t)(value[result] - value[piece]);
    if (hangs(&after, THEIR, to ^ 56, result)) seen[LOST] = (int16_t)value[result];
    if (hangs(p, OWN, from_of(move), piece)) seen[RESCUED] = (int16_t)value[piece];
    for (u64 zone = king_reach[king]; zone;)
        seen[ZONE] += attackers(&after, THEIR, take(&zone), men_of(&after) ^ BIT(king)) != 0;
    seen[DISTANCE] = (int16_t)distance[king][to ^ 56];
    seen[MAN] = (int16_t)piece;
}

static int at_most(int number, int most) { return number < most ? number : most; }

/* The score of a move; `order` is how many moves leave fewer replies. */
static int32_t score_of(const int16_t *seen, int order, const int32_t *weights) {
    const int check = seen[GIVES_CHECK];
    if (seen[MATES]) return A_MATE;
    int32_t score = weights[REPLIES_TERM + 2 * at_most(seen[REPLIES], MOST_SEEN) + check];
    score += weights[ESCAPES_TERM + 2 * at_most(seen[ESCAPES], MOST_SEEN) + check];
    score += weights[ORDER_TERM + at_most(order, MOST_ORDER)];
    score += weights[ZONE_TERM + at_most(seen[ZONE], MOST_SEEN - 1)];
    score += weights[DISTANCE_TERM + seen[DISTANCE]] + weights[MAN_TERM + seen[MAN]];
    score += weights[TAKEN_TERM] * seen[TAKEN] + weights[PROMOTED_TERM] * seen[PROMOTED];
    score += weights[LOST_TERM] * seen[LOST] + weights[RESCUED_TERM] * seen[RESCUED];
    if (seen[REPLIES] == MANY_REPLIES) score += weights[STALEMATE_TERM];
    if (seen[TAKEN]) score += weights[CAPTURE_TERM];
    if (seen[LOST]) score += weights[OFFER_TERM];
    if (seen[LOST] && check) score += weights[CHECKING_OFFER_TERM];
    return score;
}

/* Features and, where there are weights, scores of every legal move; says how many moves. */
static int see_one_ply(const Position *p, const int32_t *weights, Move *moves,
                       int16_t (*features)[FEATURES], int32_t *scores) {
    const int n = legal(p, moves, 0);
    for (int i = 0; i < n; i++) see_move(p, moves[i], features[i]);
    for (int i = 0; weights && i < n; i++) {
        int order = 0;
        for (int j = 0; j < n; j++) order += features[j][REPLIES] < features[i][REPLIES];
        scores[i] = score_of(features[i], order, weights);
    }
    return n;
}

/* Whether no move has a greater score than `key`. */
static int seems_best(const Position *p, Move key, const int32_t *weights) {
    Move moves[ALL_MOVES];
    int16_t features[ALL_MOVES][FEATURES];
    int32_t scores[ALL_MOVES], own = 0, greatest = 0;
    const int n = see_one_ply(p, weights, moves, features, scores);
    for (int i = 0; i < n; i++) {
        if (moves[i] == key) own = scores[i];
        if (i == 0 || scores[i] > greatest) greatest = scores[i];
    }
    return own == greatest;
}
