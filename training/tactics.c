/* Blocks of mates in two and three on sparse to crowded boards, and what follows from them.

Sacrifices, where the only legal reply takes the man that moved and the mate comes elsewhere, are
rare by chance. They are made backwards: from a position with a mate, the capture that led to it is
taken back, and then the move of the man that was captured. What comes out is searched as any other.

A forced reply shows at one ply, and so does much of what mates: a score by one ply (`one_ply.h`) finds
nine of ten sacrifices, and a network would learn it instead of looking ahead. So most roots that the
score finds are left out.
*/

enum {
    PLAIN_TWO, /* the first four are roots: families begin with them */
    PLAIN_THREE,
    SACRIFICE_TWO,
    SACRIFICE_THREE,
    ONE,          /* a mate in one from a placement */
    LATER_ONE,    /* a mate in one at the end of a root's line */
    LATER_TWO,    /* a mate in two within a mate in three's line */
    SHORT_DEFENCE, /* after the first move of a mate in two */
    THREE_DEFENCE, /* after the first move of a mate in three */
    NEAR,         /* a root with one man changed, without a mate in three */
    TACTICS_SHARES
};
#define ROOT_SHARES 4
#define MOST_PLIES 5
#define SEEMING_MATES 4 /* in one of so many placements roots that seem best by one ply are taken */
#define SEEMING_SACRIFICES 128
#define TACTICS_HELD_OUT_ONE_IN 16 /* those of the other domain, one in 64, among them */
#define TRIES 128 /* to take a capture back */
#define MOST_MEN_CROWDED 11 /* of a side */

typedef struct {
    Record record;
    uint32_t pattern; /* where the line's moves go to, numbered as they first appear: 112 */
    uint16_t line[MOST_PLIES];
    uint8_t plies;  /* of the line; 0 where no line has only moves of one side */
    uint8_t forced; /* bits: the other side's first, second move is the only legal one */
    uint8_t ready;  /* the bishop, knight or rook that makes the third move, from where it stands */
    uint8_t share;
} Tactic;

/* ---- placements ------------------------------------------------------------------------------ */

static const uint8_t attacking_men[16] = {QUEEN,  QUEEN,  QUEEN,  ROOK,   ROOK,   ROOK, ROOK, KNIGHT,
                                          KNIGHT, KNIGHT, BISHOP, BISHOP, BISHOP, PAWN, PAWN, PAWN};
static const uint8_t defending_men[16] = {PAWN, PAWN,   PAWN,   PAWN,   PAWN,   PAWN,   KNIGHT, KNIGHT,
                                          ROOK, ROOK,   KNIGHT, BISHOP, BISHOP, BISHOP, ROOK,   QUEEN};

/* So many men of a side, half of them rather near a king; 0 if one did not fit. */
static int scatter(Random *random, Position *p, int side, int count, int king) {
    const uint8_t *men = side == OWN ? attacking_men : defending_men;
    while (count--) {
        int piece = men[draw(random, 16)], square = near_square(random, king);
        if (!may_stand(p, side, piece, square)) return 0;
        put(p, side, piece, square);
    }
    return 1;
}

/* Up to 8 men against up to 9, anywhere. */
static int place_crowd(Random *random, Position *p) {
    memset(p, 0, sizeof *p);
    p->en_passant = NO_SQUARE;
    int king = draw(random, 64);
    if (draw(random, 2)) king = draw(random, 2) ? king | 56 : (king & 56) | (draw(random, 2) ? 7 : 0);
    put(p, THEIR, KING, king);
    const int own = draw(random, 64);
    if (distance[own][king] < 2) return 0;
    put(p, OWN, KING, own);
    return scatter(random, p, OWN, 2 + draw(random, 6), king) &&
           scatter(random, p, THEIR, 2 + draw(random, 7), king) && is_sound(p);
}

/* A king on his first rank behind what is left of his pawns, perhaps a rook beside him. */
static void shelter(Random *random, Position *p, int side, int king) {
    const int forward = side == OWN ? 8 : -8, file = king & 7;
    put(p, side, KING, king);
    for (int beside = -1; beside <= 1; beside++) {
        if (file + beside < 0 || file + beside > 7) continue;
        const int way = draw(random, 16), before = king + beside + forward;
        if (way < 11 && may_stand(p, side, PAWN, before)) put(p, side, PAWN, before);
        if (way >= 11 && way < 14 && may_stand(p, side, PAWN, before + forward))
            put(p, side, PAWN, before + forward);
    }
    const int rook = file > 3 ? king - 1 : king + 1;
    if (draw(random, 2) && may_stand(p, side, ROOK, rook)) put(p, side, ROOK, rook);
}

/* Both kings at home, as in games. */
static int place_home(Random *random, Position *p) {
    static const uint8_t files[8] = {6, 6, 6, 7, 7, 1, 2, 5};
    memset(p, 0, sizeof *p);
    p->en_passant = NO_SQUARE;
    const int king = 56 + files[draw(random, 8)];
    shelter(random, p, THEIR, king);
    shelter(random, p, OWN, files[draw(random, 8)]);
    return scatter(random, p, OWN, 2 + draw(random, 4), king) &&
           scatter(random, p, THEIR, 1 + draw(random, 5), king) && is_sound(p);
}

static int place_any(Random *random, Position *p) {
    const int way = draw(random, 8);
    if (way < 2) return place(random, p);
    return way < 5 ? place_crowd(random, p) : place_home(random, p);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* The move of either side, in the view of the root's mover. */
static uint16_t seen_by_root(Move move, int ply) {
    return (uint16_t)((move & 0x7FFF) ^ (ply & 1 ? 56 | 56 << 6 : 0));
}

/* The only move that wins a position in so many moves, none faster; or 0. */
static Move only_move(const Position *p, int within) {
    Move found[ALL_MOVES];
    if (within == 1) {
        const int mates = mates_in_one(p, found, 0);
        return mates == 1 ? found[0] : 0;
    }
    if (mates_in_one(p, found, 1)) return 0;
    return mates_in_two(p, found, 2) == 1 ? found[0] : 0;
}

/* A reply, by lot, after which one move alone wins as fast as it can be; `within` so many moves. */
static int choose_reply(Random *random, const Position *p, int within, Move *reply, Move *next,
                        int *single) {
    Move replies[ALL_MOVES];
    int fitting = 0;
    const int n = legal(p, replies, 0);
    *single = n == 1;
    for (int i = 0; i < n; i++) {
        Position after;
        make(p, replies[i], &after);
        const Move only = only_move(&after, within);
        if (only && !draw(random, ++fitting)) {
            *reply = replies[i];
            *next = only;
        }
    }
    return fitting != 0;
}

static uint32_t pattern_of(const uint16_t *line, int plies) {
    uint32_t pattern = 0;
    int seen[MOST_PLIES], different = 0;
    for (int ply = 0; ply < plies; ply++) {
        int number = 0;
        const int to = line[ply] >> 6 & 63;
        while (number < different && seen[number] != to) number++;
        if (number == different) seen[different++] = to;
        pattern = pattern * 10 + (uint32_t)number + 1;
    }
    return pattern;
}

/* Writes the line of a root: of the winning side every move is the only one. */
static void write_line(Random *random, const Position *root, int moves, Move key, Tactic *out) {
    Position before = *root, after;
    Move move = key;
    out->line[0] = seen_by_root(key, 0);
    for (int more = moves - 1, ply = 1; more; more--, ply += 2) {
        Move reply = 0, next_move = 0;
        int single;
        make(&before, move, &after);
        if (!choose_reply(random, &after, more, &reply, &next_move, &single)) {
            memset(out->line, 0, sizeof out->line);
            out->forced = 0;
            return;
        }
        out->line[ply] = seen_by_root(reply, ply);
        out->line[ply + 1] = seen_by_root(next_move, ply + 1);
        if (single) out->forced |= (uint8_t)(1 << ply / 2);
        make(&after, reply, &before);
        move = next_move;
    }
    out->plies = (uint8_t)(2 * moves - 1);
    out->pattern = pattern_of(out->line, out->plies);
    const u64 third = BIT(out->line[2] & 63);
    for (int piece = KNIGHT; piece <= ROOK; piece++)
        if (root->pieces[OWN][piece] & third && out->line[0] % 64 != out->line[2] % 64)
            out->ready = (uint8_t)piece;
}

/* ---- sacrifices ------------------------------------------------------------------------------ */

/* A position in which `key` leaves one legal reply, the capture that leads to `end`; 0 if it did not
   fit this time. */
static int taken_back(Random *random, const Position *end, Position *root, Move *key) {
    static const uint8_t offered[8] = {QUEEN, QUEEN, QUEEN, ROOK, ROOK, ROOK, BISHOP, KNIGHT};
    static const uint8_t taken[4] = {PAWN, PAWN, KNIGHT, BISHOP};
    Position after;
    Move replies[ALL_MOVES];
    *root = *end;
    u64 men = end->men[THEIR];
    for (int skip = draw(random, population(men)); skip; skip--) men &= men - 1;
    const int on = lowest(men);
    int taker = PAWN;
    while (!(end->pieces[THEIR][taker] & BIT(on))) taker++;
    u64 free = ~men_of(end);
    u64 from = taker == PAWN ? pawns_up(BIT(on)) & ~ENDS : reach(taker, on, ~free);
    from &= free;
    if (!from) return 0;
    for (int skip = draw(random, population(from)); skip; skip--) from &= from - 1;
    lift(root, THEIR, taker, on);
    put(root, THEIR, taker, lowest(from));
    const int piece = offered[draw(random, 8)];
    u64 origins = reach(piece, on, men_of(root)) & ~men_of(root);
    if (!origins) return 0;
    for (int skip = draw(random, population(origins)); skip; skip--) origins &= origins - 1;
    if (!may_stand(root, OWN, piece, lowest(origins))) return 0;
    put(root, OWN, piece, lowest(origins));
    if (draw(random, 2)) {
        const int victim = taken[draw(random, 4)];
        if (!may_stand(root, THEIR, victim, on)) return 0;
        put(root, THEIR, victim, on);
    }
    if (!is_sound(root)) return 0;
    *key = move_of(lowest(origins), on, piece);
    make(root, *key, &after);
    if (attackers(&after, OWN, king_of(&after, THEIR), men_of(&after))) return 0; /* not legal */
    return legal(&after, replies, 0) == 1 && to_of(replies[0]) == (on ^ 56);
}

/* ---- a block --------------------------------------------------------------------------------- */

typedef struct {
    Tactic *records;
    long emitted, of[TACTICS_SHARES], wanted[TACTICS_SHARES];
    u64 *seen; /* identities, open addressing */
    u64 mask;
    int held_out;
    const int32_t *weights; /* of each score by one ply */
    int scores;
    uint32_t family;
    Random random;
} TacticsBlock;

/* The root share that is furthest behind. */
static int slowest(const TacticsBlock *b) {
    int worst = PLAIN_TWO;
    for (int share = 1; share < ROOT_SHARES; share++)
        if (b->of[share] * b->wanted[worst] < b->of[worst] * b->wanted[share] || !b->wanted[worst])
            if (b->wanted[share]) worst = share;
    return worst;
}

static int is_full(const TacticsBlock *b, int share) { return b->of[share] >= b->wanted[share]; }

/* Whether a share is wanted and not ahead of the roots. */
static int is_wanted(const TacticsBlock *b, int share) {
    if (is_full(b, share)) return 0;
    const int root = slowest(b);
    return is_full(b, root) ||
           b->of[share] * b->wanted[root] <= b->wanted[share] * (b->of[root] + 1);
}

static int is_held_out_here(u64 who) { return who % TACTICS_HELD_OUT_ONE_IN == 0; }

/* The slot of a position that is of this split and not in the block; or 0. */
static u64 *slot_of(TacticsBlock *b, const Position *p, u64 *who) {
    *who = identity(p);
    if (is_held_out_here(*who) != b->held_out) return 0;
    u64 slot = *who & b->mask;
    for (; b->seen[slot]; slot = (slot + 1) & b->mask)
        if (b->seen[slot] == *who) return 0;
    return &b->seen[slot];
}

/* Writes a record of a kind that is proved already, `key` with it. */
static int emit_proved(TacticsBlock *b, int share, int kind, const Position *p, Move key) {
    u64 who, *slot = slot_of(b, p, &who);
    Tactic *out = &b->records[b->emitted];
    memset(out, 0, sizeof *out);
    if (!slot || describe(p, kind, key, &out->record) != FITS) return 0;
    out->record.game = b->family;
    out->share = (uint8_t)share;
    if (key) write_line(&b->random, p, kind == MATE_IN_TWO ? 2 : 3, key, out);
    *slot = who;
    b->emitted++;
    b->of[share]++;
    return 1;
}

static int emit_searched(TacticsBlock *b, int share, int kind, const Position *p) {
    u64 who;
    Move key;
    if (!is_wanted(b, share) || has_en_passant(p) || !slot_of(b, p, &who)) return 0;
    return proved(p, kind, &key) == FITS && emit_proved(b, share, kind, p, key);
}

/* What comes after a root's first move: the defence, and the mates after a reply by lot. */
static void emit_after(TacticsBlock *b, const Position *root, int kind, Move key) {
    Position after, later, last;
    Move replies[ALL_MOVES], next_key;
    make(root, key, &after);
    const int n = legal(&after, replies, 0);
    make(&after, replies[draw(&b->random, n)], &later);
    if (kind == MATE_IN_TWO) {
        emit_searched(b, SHORT_DEFENCE, DEFENCE, &after);
        emit_searched(b, LATER_ONE, MATE_IN_ONE, &later);
        return;
    }
    emit_searched(b, THREE_DEFENCE, LONG_DEFENCE, &after);
    emit_searched(b, LATER_TWO, MATE_IN_TWO, &later);
    if (!is_wanted(b, LATER_ONE) || !(next_key = only_move(&later, 2))) return;
    make(&later, next_key, &after);
    const int more = legal(&after, replies, 0);
    make(&after, replies[draw(&b->random, more)], &last);
    emit_searched(b, LATER_ONE, MATE_IN_ONE, &last);
}

/* A neighbour without a mate in three, in which the first move is still legal. */
static void emit_near(TacticsBlock *b, const Position *root, Move key) {
    for (int attempt = 0; attempt < 12 && is_wanted(b, NEAR); attempt++) {
        Position other;
        Move moves[ALL_MOVES];
        int still_legal = 0;
        if (!altered(&b->random, root, MOST_MEN_CROWDED, &other)) continue;
        for (int n = legal(&other, moves, 0); n; n--) still_legal |= moves[n - 1] == key;
        if (still_legal && emit_searched(b, NEAR, NO_LONG_MATE, &other)) return;
    }
}

static void emit_family(TacticsBlock *b, int share, int kind, const Position *root, Move key) {
    if (!is_full(b, share) && !emit_proved(b, share, kind, root, key)) return;
    emit_after(b, root, kind, key);
    emit_near(b, root, key);
}

/* Most roots whose first move has the greatest of a score by one ply are not taken: what has learned to
   look no further shall not do well here. `lot` is drawn once for a placement. */
static int is_taken(const TacticsBlock *b, int lot, const Position *root, Move key) {
    for (int i = 0; lot && i < b->scores; i++)
        if (seems_best(root, key, b->weights + i * TERMS)) return 0;
    return 1;
}

/* Whatever a placement holds that is wanted. */
static void try_placement(TacticsBlock *b) {
    Position p;
    Move keys[ALL_MOVES];
    u64 who;
    if (!place_any(&b->random, &p) || !slot_of(b, &p, &who)) return;
    if (mates_in_one(&p, keys, 1)) {
        emit_searched(b, ONE, MATE_IN_ONE, &p);
        return;
    }
    const int lot = draw(&b->random, SEEMING_MATES);
    const int after_two = is_wanted(b, SHORT_DEFENCE) || is_wanted(b, LATER_ONE);
    const int after_three = is_wanted(b, THREE_DEFENCE) || is_wanted(b, LATER_TWO);
    const int two = is_wanted(b, PLAIN_TWO) || (is_full(b, PLAIN_TWO) && after_two);
    const int three = is_wanted(b, PLAIN_THREE) || (is_full(b, PLAIN_THREE) && after_three);
    int found = mates_in_two(&p, keys, 2);
    if (found == 1 && (two || is_wanted(b, NEAR)) && is_taken(b, lot, &p, keys[0]))
        emit_family(b, PLAIN_TWO, MATE_IN_TWO, &p, keys[0]);
    if (found || !three) return;
    found = mates_in_three(&p, keys, 2);
    if (found == 1 && is_taken(b, lot, &p, keys[0]))
        emit_family(b, PLAIN_THREE, MATE_IN_THREE, &p, keys[0]);
}

/* A sacrifice that leads to a mate of a placement. */
static void try_sacrifice(TacticsBlock *b, int share) {
    const int moves = share == SACRIFICE_TWO ? 1 : 2;
    Position end, root;
    Move key, keys[ALL_MOVES];
    u64 who;
    if (!place_any(&b->random, &end)) return;
    const Move last = only_move(&end, moves);
    if (!last) return;
    const int lot = draw(&b->random, SEEMING_SACRIFICES);
    /* an end that is a mate in two is dear, and most roots are not held out */
    const int tries = (b->held_out ? 4 : 1) * (moves == 2 ? 8 * TRIES : TRIES);
    for (int more = tries; more; more--) {
        if (!taken_back(&b->random, &end, &root, &key) || to_of(last) == to_of(key)) continue;
        if (!slot_of(b, &root, &who) || mates_in_one(&root, keys, 1)) continue;
        if (!is_taken(b, lot, &root, key)) continue;
        int found = mates_in_two(&root, keys, 2);
        if (moves == 2 && found) continue;
        if (moves == 2) found = mates_in_three(&root, keys, 2);
        if (found != 1 || keys[0] != key) continue;
        emit_family(b, share, moves == 1 ? MATE_IN_TWO : MATE_IN_THREE, &root, key);
        return;
    }
}

/* Fills `records` with a block; `wanted` holds how many of each share, `weights` those of so many
   scores by one ply. 0, or -1 without memory. */
int mates_generate_tactics(u64 seed, u64 number, int held_out, const int64_t *wanted,
                           const int32_t *weights, int scores, Tactic *records) {
    TacticsBlock b;
    long total = 0;
    memset(&b, 0, sizeof b);
    b.random = seeded(seed ^ 0x6C696E6573u, number, (u64)(held_out != 0));
    for (int share = 0; share < TACTICS_SHARES; share++) total += b.wanted[share] = (long)wanted[share];
    for (b.mask = 64; (long)b.mask < 2 * total; b.mask *= 2) continue;
    b.seen = calloc(b.mask--, sizeof *b.seen);
    b.records = records;
    b.weights = weights;
    b.scores = scores;
    b.held_out = held_out != 0;
    b.family = (uint32_t)(number << 16);
    if (!b.seen) return -1;
    while (b.emitted < total) {
        const long before = b.emitted;
        const int share = slowest(&b);
        const int sacrifice = share >= SACRIFICE_TWO && !is_full(&b, share);
        if (sacrifice) try_sacrifice(&b, share);
        else try_placement(&b);
        b.family += b.emitted > before;
    }
    free(b.seen);
    return 0;
}
