/* Certified records of positions, chance, and what makes a position.

All random choices come from xoshiro256** seeded with splitmix64, all arithmetic is on integers:
the same seed and block give the same bytes everywhere.
*/

enum { /* kinds of a record */
    MATE_IN_TWO,
    MATE_IN_ONE,
    DEFENCE,
    NO_MATE,
    MATE_IN_THREE,
    LONG_DEFENCE,
    NO_LONG_MATE,
    KINDS
};
enum { STRONG = 1, GREEDY = 2, CHECK = 4, MATE = 8, FEWEST_REPLIES = 16 }; /* bits of a target */

#define MOST_MOVES 96 /* that a record holds */
#define HELD_OUT_ONE_IN 64

typedef struct {
    u64 pieces[12];
    uint8_t kind, outcome, castling, count;
    uint32_t game;
    uint16_t moves[MOST_MOVES];
    uint8_t target[MOST_MOVES];
} Record;

/* ---- records --------------------------------------------------------------------------------- */

static const int value[6] = {2, 6, 6, 10, 18, 1000}; /* in half pawns, so that a check is worth 1 */

/* Whether a man of `side` (not to be a king) can be taken where it stands: it is undefended or a
   cheaper man attacks it. Pins are not seen. */
static int hangs(const Position *p, int side, int square, int piece) {
    const u64 occupied = men_of(p);
    const u64 attacking = attackers(p, !side, square, occupied);
    if (piece == KING || !attacking) return 0;
    if (!attackers(p, side, square, occupied)) return 1;
    for (int cheaper = PAWN; cheaper < piece; cheaper++)
        if (value[cheaper] < value[piece] && attacking & p->pieces[!side][cheaper]) return 1;
    return 0;
}

static int greedy_score(const Position *p, Move move, const Position *after) {
    const int piece = piece_of(move), result = after_of(move);
    int score = value[result] - value[piece];
    for (int i = 0; i < 6; i++)
        if (p->pieces[THEIR][i] & BIT(to_of(move))) score += value[i];
    if (move & EN_PASSANT) score += value[PAWN];
    if (hangs(after, THEIR, to_of(move) ^ 56, result)) score -= value[result];
    if (hangs(p, OWN, from_of(move), piece)) score += value[piece];
    return score + checked(after);
}

enum {
    FITS,
    TOO_MANY_MOVES,
    NO_MOVES,
    HAS_MATE_IN_ONE,
    HAS_NO_MATE_IN_ONE,
    HAS_NO_MATE_IN_TWO,
    HAS_SEVERAL_KEYS,
    HAS_MATE_IN_TWO,
    IS_NOT_LOST,
    NO_SUCH_KIND,
    HAS_NO_MATE_IN_THREE,
    HAS_MATE_IN_THREE,
    IS_LOST_SOONER,
};

/* Whether a position is of a kind by proof, and why not. `key` is the only first move of a mate in
   two or three. */
static int proved(const Position *p, int kind, Move *key) {
    Move found[ALL_MOVES], killers[2] = {0, 0};
    *key = 0;
    if (kind == MATE_IN_ONE) return mates_in_one(p, found, 1) ? FITS : HAS_NO_MATE_IN_ONE;
    if (kind == DEFENCE) return is_lost(p, killers) ? FITS : IS_NOT_LOST;
    if (kind == LONG_DEFENCE) {
        if (!is_lost_long(p, killers)) return IS_NOT_LOST;
        return is_lost(p, killers) ? IS_LOST_SOONER : FITS;
    }
    if (mates_in_one(p, found, 1)) return HAS_MATE_IN_ONE;
    int keys = mates_in_two(p, found, 2);
    if (kind == MATE_IN_TWO && !keys) return HAS_NO_MATE_IN_TWO;
    if (kind != MATE_IN_TWO && keys) return HAS_MATE_IN_TWO;
    if (kind == NO_MATE) return FITS;
    if (kind != MATE_IN_TWO) {
        keys = mates_in_three(p, found, 2);
        if (kind == NO_LONG_MATE) return keys ? HAS_MATE_IN_THREE : FITS;
        if (!keys) return HAS_NO_MATE_IN_THREE;
    }
    if (keys > 1) return HAS_SEVERAL_KEYS;
    *key = found[0];
    return FITS;
}

/* How well a reply defends in a lost position: the fewer mates answer it at once, the better. */
static int answers_to(int kind, const Position *after) {
    Move mates[ALL_MOVES];
    if (kind == DEFENCE) return mates_in_one(after, mates, 0);
    return kind == LONG_DEFENCE ? mates_in_one(after, mates, 1) : 0;
}

/* Writes down a position that is of that kind; `key` as from `proved`. */
static int describe(const Position *p, int kind, Move key, Record *record) {
    Move moves[ALL_MOVES];
    const int n = legal(p, moves, 0);
    if (n > MOST_MOVES) return TOO_MANY_MOVES;
    memset(record, 0, sizeof *record);
    memcpy(record->pieces, p->pieces, sizeof record->pieces);
    record->kind = (uint8_t)kind;
    const int lost = kind == DEFENCE || kind == LONG_DEFENCE;
    record->outcome = lost ? 2 : kind == NO_MATE || kind == NO_LONG_MATE ? 1 : 0;
    record->castling = (uint8_t)p->castling;
    record->count = (uint8_t)n;
    int greedy[MOST_MOVES], replies[MOST_MOVES], answers[MOST_MOVES];
    int best = -10000, fewest = 10000, hardest = 10000;
    for (int i = 0; i < n; i++) {
        Position after;
        Move buffer[ALL_MOVES];
        make(p, moves[i], &after);
        const int check = checked(&after);
        replies[i] = legal(&after, buffer, 0);
        if (check) record->target[i] |= CHECK;
        if (check && !replies[i]) record->target[i] |= MATE;
        if (!check && !replies[i]) replies[i] = 9999;
        greedy[i] = record->target[i] & MATE ? 9999 : greedy_score(p, moves[i], &after);
        answers[i] = answers_to(kind, &after);
        if (greedy[i] > best) best = greedy[i];
        if (replies[i] < fewest) fewest = replies[i];
        if (answers[i] < hardest) hardest = answers[i];
    }
    for (int i = 0; i < n; i++) {
        record->moves[i] = (uint16_t)(moves[i] & 0x7FFF);
        if (greedy[i] == best) record->target[i] |= GREEDY;
        if (replies[i] == fewest) record->target[i] |= FEWEST_REPLIES;
        if (key ? moves[i] == key
            : kind == MATE_IN_ONE ? record->target[i] & MATE : lost && answers[i] == hardest)
            record->target[i] |= STRONG;
    }
    return FITS;
}

/* Fills a record, if the position is of that kind by proof; else says why it is not. */
static int fill(const Position *p, int kind, Record *record) {
    Move moves[ALL_MOVES], key;
    if (!legal(p, moves, 1)) return NO_MOVES;
    const int reason = proved(p, kind, &key);
    return reason == FITS ? describe(p, kind, key, record) : reason;
}

/* ---- chance and identity --------------------------------------------------------------------- */

typedef struct {
    u64 state[4];
} Random;

static u64 mixed(u64 x) { /* the finalizer of splitmix64 */
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static Random seeded(u64 seed, u64 block, u64 held_out) {
    Random random;
    u64 x = mixed(mixed(mixed(seed + 0x9E3779B97F4A7C15u) + block) + held_out);
    for (int i = 0; i < 4; i++) random.state[i] = mixed(x += 0x9E3779B97F4A7C15u);
    return random;
}

static u64 next(Random *random) { /* xoshiro256** */
    u64 *s = random->state;
    u64 x = s[1] * 5, t = s[1] << 17;
    u64 result = (x << 7 | x >> 57) * 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

static int draw(Random *random, int below_this) {
    return (int)((next(random) >> 32) * (u64)below_this >> 32);
}

/* Who a position is, the same for its left-right mirror image (castling rights break that
   symmetry, so with them there is no mirror image). Never 0. */
static u64 identity(const Position *p) {
    u64 plain = (u64)p->castling, image = (u64)p->castling;
    for (int i = 0; i < 12; i++) {
        u64 men = p->pieces[i / 6][i % 6];
        plain = mixed(plain * 0x9E3779B97F4A7C15u + men + 1);
        image = mixed(image * 0x9E3779B97F4A7C15u + mirrored(men) + 1);
    }
    u64 found = p->castling || plain < image ? plain : image;
    return found ? found : 1;
}

static int is_held_out(u64 who) { return who % HELD_OUT_ONE_IN == 0; }

/* ---- positions made by chance ---------------------------------------------------------------- */

static const int most_of[6] = {8, 2, 2, 2, 1, 1};

/* Whether a side may get another such man on that square. */
static int may_stand(const Position *p, int side, int piece, int square) {
    const u64 same = p->pieces[side][piece];
    if (men_of(p) & BIT(square)) return 0;
    if (piece == PAWN) return !(ENDS & BIT(square));
    if (population(same) >= most_of[piece]) return 0;
    return piece != BISHOP || !same || !(same & DARK) != !(DARK & BIT(square));
}

static void put(Position *p, int side, int piece, int square) {
    p->pieces[side][piece] |= BIT(square);
    p->men[side] |= BIT(square);
}

static void lift(Position *p, int side, int piece, int square) {
    p->pieces[side][piece] &= ~BIT(square);
    p->men[side] &= ~BIT(square);
}

/* A square: every second time the nearer of two to the king that is to be mated. */
static int near_square(Random *random, int king) {
    int square = draw(random, 64);
    if (draw(random, 2)) {
        int other = draw(random, 64);
        if (distance[king][other] < distance[king][square]) square = other;
    }
    return square;
}

/* Legal for both kings, and no double check, which needs a history. */
static int is_sound(const Position *p) {
    const u64 occupied = men_of(p);
    if (attackers(p, OWN, king_of(p, THEIR), occupied)) return 0;
    const u64 checkers = attackers(p, THEIR, king_of(p, OWN), occupied);
    return !(checkers & (checkers - 1));
}

/* The same position with one man moved, removed or added to a side of fewer than `most`; 0 if it did
   not fit this time. */
static int altered(Random *random, const Position *p, int most, Position *other) {
    *other = *p;
    const int way = draw(random, 8);
    if (way == 0) { /* a man more */
        int side = draw(random, 2), piece = draw(random, 5), square = draw(random, 64);
        if (population(p->men[side]) >= most || !may_stand(p, side, piece, square)) return 0;
        put(other, side, piece, square);
        return is_sound(other);
    }
    u64 men = men_of(p);
    for (int skip = draw(random, population(men)); skip; skip--) men &= men - 1;
    const int from = lowest(men), side = p->men[THEIR] & BIT(from) ? THEIR : OWN;
    int piece = PAWN;
    while (!(p->pieces[side][piece] & BIT(from))) piece++;
    lift(other, side, piece, from);
    if (way == 1) { /* a man less */
        if (piece == KING || population(p->men[side]) <= 2) return 0;
        return is_sound(other);
    }
    int to = draw(random, 64); /* a man elsewhere, mostly next door */
    if (way < 6) {
        u64 beside = king_reach[from];
        for (int skip = draw(random, population(beside)); skip; skip--) beside &= beside - 1;
        to = lowest(beside);
    }
    if (to == from || !may_stand(other, side, piece, to)) return 0;
    put(other, side, piece, to);
    return is_sound(other);
}
