/* Blocks of mates in two from sparse placements, and what follows from them. */

#define MOST_MEN 5 /* of a side */

enum { ROOTS, DIRECT_MATES, CONTINUATIONS, DEFENCES, NEAR_MISSES, UNRELATED, SHARES };

/* ---- positions made by chance ---------------------------------------------------------------- */

/* 3 to 5 own men against 2 to 5; 0 if they did not fit this time. */
static int place(Random *random, Position *p) {
    static const uint8_t own_men[16] = {QUEEN, QUEEN, QUEEN, QUEEN, ROOK, ROOK,   ROOK,   ROOK,
                                        PAWN,  PAWN,  PAWN,  KNIGHT, KNIGHT, BISHOP, BISHOP, BISHOP};
    static const uint8_t their_men[16] = {PAWN, PAWN, PAWN,   PAWN,   PAWN,   PAWN,   KNIGHT, KNIGHT,
                                          ROOK, ROOK, KNIGHT, BISHOP, BISHOP, BISHOP, ROOK,   QUEEN};
    memset(p, 0, sizeof *p);
    p->en_passant = NO_SQUARE;
    int king = draw(random, 64);
    if (draw(random, 2)) { /* to the edge: file a or h, rank 1 or 8 */
        static const int edges[4] = {0, 7, 0, 56};
        int edge = draw(random, 4);
        king = edge < 2 ? (king & 56) | edges[edge] : (king & 7) | edges[edge];
    }
    put(p, THEIR, KING, king);
    const int own = near_square(random, king);
    if (distance[own][king] < 2) return 0;
    put(p, OWN, KING, own);
    for (int more = 2 + draw(random, 3); more; more--) {
        int piece = own_men[draw(random, 16)], square = near_square(random, king);
        if (!may_stand(p, OWN, piece, square)) return 0;
        put(p, OWN, piece, square);
    }
    for (int more = 1 + draw(random, 4); more; more--) {
        int piece = their_men[draw(random, 16)], square = near_square(random, king);
        if (!may_stand(p, THEIR, piece, square)) return 0;
        put(p, THEIR, piece, square);
    }
    return is_sound(p);
}

/* ---- a block of records ---------------------------------------------------------------------- */

typedef struct {
    Record *records;
    long emitted, of[SHARES], wanted[SHARES];
    u64 *seen; /* identities, open addressing */
    u64 mask;
    int held_out;
} Block;

/* Whether a share is not ahead of the roots, against which the others are paced. */
static int is_due(const Block *block, int share) {
    if (block->of[share] >= block->wanted[share]) return 0;
    return share == ROOTS || block->of[ROOTS] >= block->wanted[ROOTS] ||
           block->of[share] * block->wanted[ROOTS] <= block->wanted[share] * block->of[ROOTS];
}

/* Writes a record unless its position (or the mirror image) is there already. What follows from a
   root goes to the root's split, but training never gets a held-out position by that way. */
static int emit(Block *block, int share, int kind, const Position *p, uint32_t game) {
    const u64 who = identity(p);
    if (!block->held_out && is_held_out(who)) return 0;
    u64 slot = who & block->mask;
    for (; block->seen[slot]; slot = (slot + 1) & block->mask)
        if (block->seen[slot] == who) return 0;
    Record *record = &block->records[block->emitted];
    if (fill(p, kind, record) != FITS) return 0;
    record->game = game;
    block->seen[slot] = who;
    block->emitted++;
    block->of[share]++;
    return 1;
}

/* An en passant capture is part of a position, and a record has no room for it. */
static int has_en_passant(const Position *p) {
    Move moves[ALL_MOVES];
    if (p->en_passant == NO_SQUARE) return 0;
    for (int n = legal(p, moves, 0); n; n--)
        if (moves[n - 1] & EN_PASSANT) return 1;
    return 0;
}

/* The position after the key move, and one after a random reply to it. */
static void emit_line(Block *block, Random *random, const Position *root, Move key, uint32_t game) {
    Position after, last;
    Move replies[ALL_MOVES];
    make(root, key, &after);
    if (is_due(block, DEFENCES) && !has_en_passant(&after))
        emit(block, DEFENCES, DEFENCE, &after, game);
    if (!is_due(block, CONTINUATIONS)) return;
    const int n = legal(&after, replies, 0);
    make(&after, replies[draw(random, n)], &last);
    if (!has_en_passant(&last)) emit(block, CONTINUATIONS, MATE_IN_ONE, &last, game);
}

/* Up to two neighbours without a mate. The first tries ask that the key move is still legal. */
static void emit_near_misses(Block *block, Random *random, const Position *root, Move key,
                             uint32_t game) {
    int most = 2;
    for (int attempt = 0; attempt < 24 && most && is_due(block, NEAR_MISSES); attempt++) {
        Position other;
        Move moves[ALL_MOVES];
        if (!altered(random, root, MOST_MEN, &other)) continue;
        int still_legal = attempt >= 16;
        for (int n = still_legal ? 0 : legal(&other, moves, 0); n; n--)
            still_legal |= moves[n - 1] == key;
        if (still_legal && emit(block, NEAR_MISSES, NO_MATE, &other, game)) most--;
    }
}

/* Fills `records` with a block; `wanted` holds how many of each share. 0, or -1 without memory. */
int mates_generate(u64 seed, u64 number, int held_out, const int64_t *wanted, Record *records) {
    Block block;
    Random random = seeded(seed, number, (u64)(held_out != 0));
    long total = 0;
    uint32_t family = (uint32_t)(number << 16);
    memset(&block, 0, sizeof block);
    for (int share = 0; share < SHARES; share++) total += block.wanted[share] = (long)wanted[share];
    for (block.mask = 64; (long)block.mask < 2 * total; block.mask *= 2) continue;
    block.seen = calloc(block.mask--, sizeof *block.seen);
    block.records = records;
    block.held_out = held_out != 0;
    if (!block.seen) return -1;
    while (block.emitted < total) {
        Position p;
        Move found[ALL_MOVES];
        if (!place(&random, &p) || is_held_out(identity(&p)) != block.held_out) continue;
        const long before = block.emitted;
        if (mates_in_one(&p, found, 1)) {
            if (is_due(&block, DIRECT_MATES)) emit(&block, DIRECT_MATES, MATE_IN_ONE, &p, family);
        } else {
            const int keys = mates_in_two(&p, found, 2);
            if (keys == 0 && is_due(&block, UNRELATED)) emit(&block, UNRELATED, NO_MATE, &p, family);
            if (keys == 1) {
                if (is_due(&block, ROOTS)) emit(&block, ROOTS, MATE_IN_TWO, &p, family);
                emit_line(&block, &random, &p, found[0], family);
                emit_near_misses(&block, &random, &p, found[0], family);
            }
        }
        family += block.emitted > before;
    }
    free(block.seen);
    return 0;
}
