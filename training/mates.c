/* Mates in two by exhaustive search, and positions made to hold one.

Every position is in the view of the side to move ("own"), which plays up the board: square a1 is
bit 0, h8 bit 63. `make` turns the board round, so one set of rules serves both sides. A mate in
two is a first move after which the other side has a legal reply, and every legal reply can be
answered by mate at once. Nothing is estimated: a position without a proof is not given out.

All random choices come from xoshiro256** seeded with splitmix64, all arithmetic is on integers:
the same seed and block give the same bytes everywhere. After mates_init nothing global is written,
so calls may run in parallel.
*/

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t u64;
typedef uint32_t Move; /* from | to << 6 | promotion << 12 | piece << 16 | flags */

enum { PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING };
enum { EN_PASSANT = 1 << 20, CASTLING = 1 << 21 };
enum { OWN_SHORT = 1, OWN_LONG = 2, THEIR_SHORT = 4, THEIR_LONG = 8 };
enum { OWN, THEIR };
enum { MATE_IN_TWO, MATE_IN_ONE, DEFENCE, NO_MATE };                       /* kinds of a record */
enum { STRONG = 1, GREEDY = 2, CHECK = 4, MATE = 8, FEWEST_REPLIES = 16 }; /* bits of a target */
enum { ROOTS, DIRECT_MATES, CONTINUATIONS, DEFENCES, NEAR_MISSES, UNRELATED, SHARES };

#define MOST_MOVES 96 /* that a record holds */
#define ALL_MOVES 256 /* no legal position has more than 218 */
#define HELD_OUT_ONE_IN 64
#define NO_SQUARE (-1)

typedef struct {
    u64 pieces[2][6];
    u64 men[2];
    int castling;
    int en_passant; /* the square behind a pawn that has just moved two steps, or NO_SQUARE */
} Position;

typedef struct {
    u64 pieces[12];
    uint8_t kind, outcome, castling, count;
    uint32_t game;
    uint16_t moves[MOST_MOVES];
    uint8_t target[MOST_MOVES];
} Record;

/* ---- bits ------------------------------------------------------------------------------------ */

#define BIT(square) ((u64)1 << (square))
static const u64 A_FILE = 0x0101010101010101u, H_FILE = 0x8080808080808080u;
static const u64 DARK = 0xAA55AA55AA55AA55u, ENDS = 0xFF000000000000FFu;

#if defined(__GNUC__)
static inline int lowest(u64 bits) { return __builtin_ctzll(bits); }
static inline int highest(u64 bits) { return 63 - __builtin_clzll(bits); }
#else
static int lowest(u64 bits) { int n = 0; while (!(bits >> n & 1)) n++; return n; }
static int highest(u64 bits) { int n = 63; while (!(bits >> n & 1)) n--; return n; }
#endif

static inline int take(u64 *bits) {
    int square = lowest(*bits);
    *bits &= *bits - 1;
    return square;
}

static int population(u64 bits) {
    int n = 0;
    for (; bits; bits &= bits - 1) n++;
    return n;
}

static inline u64 turned(u64 x) { /* rank 1 <-> rank 8 */
    x = (x >> 8 & 0x00FF00FF00FF00FFu) | (x & 0x00FF00FF00FF00FFu) << 8;
    x = (x >> 16 & 0x0000FFFF0000FFFFu) | (x & 0x0000FFFF0000FFFFu) << 16;
    return x >> 32 | x << 32;
}

static inline u64 mirrored(u64 x) { /* a-file <-> h-file */
    x = (x >> 1 & 0x5555555555555555u) | (x & 0x5555555555555555u) << 1;
    x = (x >> 2 & 0x3333333333333333u) | (x & 0x3333333333333333u) << 2;
    return (x >> 4 & 0x0F0F0F0F0F0F0F0Fu) | (x & 0x0F0F0F0F0F0F0F0Fu) << 4;
}

/* ---- where pieces reach ---------------------------------------------------------------------- */

static u64 knight_reach[64], king_reach[64];
static u64 below[4][64], above[4][64], whole[4][64]; /* of file, rank and the two diagonals */
static u64 straight[64], diagonal[64];               /* on an empty board */
static u64 between[64][64], line[64][64];
static int distance[64][64];

static u64 step(int square, int files, int ranks) {
    int file = (square & 7) + files, rank = (square >> 3) + ranks;
    return file < 0 || file > 7 || rank < 0 || rank > 7 ? 0 : BIT(rank * 8 + file);
}

void mates_init(void) {
    static const int ways[4][2] = {{0, 1}, {1, 0}, {1, 1}, {-1, 1}};
    for (int s = 0; s < 64; s++) {
        knight_reach[s] = king_reach[s] = 0;
        for (int f = -2; f <= 2; f++)
            for (int r = -2; r <= 2; r++) {
                if (f * f + r * r == 5) knight_reach[s] |= step(s, f, r);
                if (f * f + r * r == 1 || f * f + r * r == 2) king_reach[s] |= step(s, f, r);
            }
        for (int t = 0; t < 64; t++) {
            int files = abs((s & 7) - (t & 7)), ranks = abs((s >> 3) - (t >> 3));
            distance[s][t] = files > ranks ? files : ranks;
            between[s][t] = line[s][t] = 0;
        }
        for (int w = 0; w < 4; w++) {
            below[w][s] = above[w][s] = 0;
            for (int n = 1; n < 8; n++) {
                above[w][s] |= step(s, n * ways[w][0], n * ways[w][1]);
                below[w][s] |= step(s, -n * ways[w][0], -n * ways[w][1]);
            }
            whole[w][s] = below[w][s] | above[w][s];
            for (int sign = -1; sign <= 1; sign += 2) {
                u64 passed = 0;
                for (int n = 1; n < 8; n++) {
                    u64 to = step(s, sign * n * ways[w][0], sign * n * ways[w][1]);
                    if (!to) break;
                    between[s][lowest(to)] = passed;
                    line[s][lowest(to)] = whole[w][s] | BIT(s);
                    passed |= to;
                }
            }
        }
        straight[s] = whole[0][s] | whole[1][s];
        diagonal[s] = whole[2][s] | whole[3][s];
    }
}

static inline u64 along(int way, int square, u64 occupied) { /* obstruction difference */
    u64 nearest_below = BIT(highest((below[way][square] & occupied) | 1));
    u64 upper = above[way][square] & occupied;
    return (2 * (upper & (0 - upper)) - nearest_below) & whole[way][square];
}

static inline u64 rook_reach(int square, u64 occupied) {
    return along(0, square, occupied) | along(1, square, occupied);
}

static inline u64 bishop_reach(int square, u64 occupied) {
    return along(2, square, occupied) | along(3, square, occupied);
}

static inline u64 pawns_up(u64 pawns) { return (pawns & ~H_FILE) << 9 | (pawns & ~A_FILE) << 7; }
static inline u64 pawns_down(u64 pawns) { return (pawns & ~A_FILE) >> 9 | (pawns & ~H_FILE) >> 7; }

static inline u64 reach(int piece, int square, u64 occupied) { /* not of pawns */
    switch (piece) {
    case KNIGHT: return knight_reach[square];
    case BISHOP: return bishop_reach(square, occupied);
    case ROOK: return rook_reach(square, occupied);
    case QUEEN: return rook_reach(square, occupied) | bishop_reach(square, occupied);
    default: return king_reach[square];
    }
}

/* The men of one side that attack a square. */
static inline u64 attackers(const Position *p, int side, int square, u64 occupied) {
    const u64 *men = p->pieces[side];
    u64 found = (knight_reach[square] & men[KNIGHT]) | (king_reach[square] & men[KING]);
    found |= (side == OWN ? pawns_down(BIT(square)) : pawns_up(BIT(square))) & men[PAWN];
    u64 straights = (men[ROOK] | men[QUEEN]) & straight[square];
    u64 diagonals = (men[BISHOP] | men[QUEEN]) & diagonal[square];
    if (straights) found |= rook_reach(square, occupied) & straights;
    if (diagonals) found |= bishop_reach(square, occupied) & diagonals;
    return found;
}

/* ---- moves ----------------------------------------------------------------------------------- */

static inline int from_of(Move move) { return move & 63; }
static inline int to_of(Move move) { return move >> 6 & 63; }
static inline int promotion_of(Move move) { return move >> 12 & 7; } /* the piece; 0 is none */
static inline int piece_of(Move move) { return move >> 16 & 7; }
static inline int after_of(Move move) { return promotion_of(move) ? promotion_of(move) : piece_of(move); }
static inline Move move_of(int from, int to, int piece) {
    return (Move)from | (Move)to << 6 | (Move)piece << 16;
}

static inline u64 men_of(const Position *p) { return p->men[OWN] | p->men[THEIR]; }
static inline int king_of(const Position *p, int side) { return lowest(p->pieces[side][KING]); }

static inline int checked(const Position *p) {
    return attackers(p, THEIR, king_of(p, OWN), men_of(p)) != 0;
}

/* The own men that alone stand between `king` and a slider of `side`. */
static u64 screens(const Position *p, int side, int king, u64 blockers) {
    const u64 *men = p->pieces[side];
    u64 occupied = men_of(p), found = 0;
    u64 sliders = ((men[ROOK] | men[QUEEN]) & straight[king]) |
                  ((men[BISHOP] | men[QUEEN]) & diagonal[king]);
    while (sliders) {
        u64 standing = between[king][take(&sliders)] & occupied;
        if (standing && !(standing & (standing - 1))) found |= standing & blockers;
    }
    return found;
}

static inline int add_pawn(Move *moves, int n, int from, int to) {
    if (to < 56) {
        moves[n++] = move_of(from, to, PAWN);
        return n;
    }
    for (int piece = QUEEN; piece >= KNIGHT; piece--)
        moves[n++] = move_of(from, to, PAWN) | (Move)piece << 12;
    return n;
}

/* All legal moves; with `one_will_do` it stops as soon as there is one. */
static int legal(const Position *p, Move *moves, int one_will_do) {
    const u64 own = p->men[OWN], their = p->men[THEIR], occupied = own | their;
    const int king = king_of(p, OWN);
    const u64 checkers = attackers(p, THEIR, king, occupied);
    int n = 0;
    for (u64 to = king_reach[king] & ~own; to;) {
        int square = take(&to);
        if (attackers(p, THEIR, square, occupied ^ BIT(king))) continue;
        moves[n++] = move_of(king, square, KING);
        if (one_will_do) return n;
    }
    if (checkers & (checkers - 1)) return n;
    const u64 allowed = checkers ? checkers | between[king][lowest(checkers)] : ~own;
    const u64 pinned = screens(p, THEIR, king, own);
    for (int piece = KNIGHT; piece <= QUEEN; piece++)
        for (u64 men = p->pieces[OWN][piece]; men;) {
            int from = take(&men);
            u64 to = reach(piece, from, occupied) & allowed & ~own;
            if (pinned & BIT(from)) to &= line[king][from];
            if (to && one_will_do) return 1;
            while (to) moves[n++] = move_of(from, take(&to), piece);
        }
    for (u64 men = p->pieces[OWN][PAWN]; men;) {
        int from = take(&men);
        u64 to = BIT(from) << 8 & ~occupied;
        if (to && from < 16) to |= to << 8 & ~occupied;
        to |= pawns_up(BIT(from)) & their;
        to &= allowed;
        if (pinned & BIT(from)) to &= line[king][from];
        if (to && one_will_do) return 1;
        while (to) n = add_pawn(moves, n, from, take(&to));
    }
    if (p->en_passant != NO_SQUARE) {
        const int to = p->en_passant;
        Position without = *p; /* what the king sees when both pawns have left */
        without.pieces[THEIR][PAWN] &= ~BIT(to - 8);
        for (u64 men = pawns_down(BIT(to)) & p->pieces[OWN][PAWN]; men;) {
            int from = take(&men);
            u64 left = (occupied ^ BIT(from) ^ BIT(to - 8)) | BIT(to);
            if (attackers(&without, THEIR, king, left)) continue;
            moves[n++] = move_of(from, to, PAWN) | EN_PASSANT;
            if (one_will_do) return n;
        }
    }
    if (!checkers && king == 4 && p->castling & (OWN_SHORT | OWN_LONG)) {
        const u64 rooks = p->pieces[OWN][ROOK];
        if (p->castling & OWN_SHORT && rooks & BIT(7) && !(occupied & (BIT(5) | BIT(6))) &&
            !attackers(p, THEIR, 5, occupied) && !attackers(p, THEIR, 6, occupied))
            moves[n++] = move_of(4, 6, KING) | CASTLING;
        if (p->castling & OWN_LONG && rooks & BIT(0) && !(occupied & (BIT(1) | BIT(2) | BIT(3))) &&
            !attackers(p, THEIR, 3, occupied) && !attackers(p, THEIR, 2, occupied))
            moves[n++] = move_of(4, 2, KING) | CASTLING;
    }
    return n;
}

/* The position after a move, seen by the other side. */
static void make(const Position *p, Move move, Position *after) {
    const int from = from_of(move), to = to_of(move), piece = piece_of(move);
    u64 own[6];
    u64 gone = BIT(move & EN_PASSANT ? to - 8 : to);
    memcpy(own, p->pieces[OWN], sizeof own);
    own[piece] ^= BIT(from);
    own[after_of(move)] |= BIT(to);
    if (move & CASTLING) own[ROOK] ^= to == 6 ? BIT(7) | BIT(5) : BIT(0) | BIT(3);
    u64 all[2] = {0, 0};
    for (int i = 0; i < 6; i++) {
        all[OWN] |= after->pieces[OWN][i] = turned(p->pieces[THEIR][i] & ~gone);
        all[THEIR] |= after->pieces[THEIR][i] = turned(own[i]);
    }
    after->men[OWN] = all[OWN];
    after->men[THEIR] = all[THEIR];
    after->en_passant = piece == PAWN && to - from == 16 ? (from + 8) ^ 56 : NO_SQUARE;
    after->castling = 0;
    if (p->castling) {
        int rights = p->castling;
        if (piece == KING) rights &= ~(OWN_SHORT | OWN_LONG);
        if (from == 7) rights &= ~OWN_SHORT;
        if (from == 0) rights &= ~OWN_LONG;
        if (to == 63) rights &= ~THEIR_SHORT;
        if (to == 56) rights &= ~THEIR_LONG;
        after->castling = rights >> 2 | (rights & 3) << 2;
    }
}

/* ---- mates ----------------------------------------------------------------------------------- */

/* The moves that mate at once; with `one_will_do` it stops as soon as there is one. */
static int mates_in_one(const Position *p, Move *mates, int one_will_do) {
    const u64 occupied = men_of(p);
    const int king = king_of(p, THEIR);
    const u64 by_bishop = bishop_reach(king, occupied), by_rook = rook_reach(king, occupied);
    const u64 checks[6] = {pawns_down(BIT(king)), knight_reach[king], by_bishop, by_rook,
                           by_bishop | by_rook, 0};
    const u64 opening = screens(p, OWN, king, p->men[OWN]);
    Move moves[ALL_MOVES], replies[ALL_MOVES];
    int found = 0;
    const int n = legal(p, moves, 0);
    for (int i = 0; i < n; i++) {
        const int from = from_of(moves[i]), to = to_of(moves[i]);
        int sure = (checks[after_of(moves[i])] & BIT(to)) != 0 ||
                   (opening & BIT(from) && !(line[king][from] & BIT(to)));
        int special = moves[i] >> 20 || promotion_of(moves[i]);
        if (!sure && !special) continue;
        Position after;
        make(p, moves[i], &after);
        if (!sure && !checked(&after)) continue;
        if (legal(&after, replies, 1)) continue;
        mates[found++] = moves[i];
        if (one_will_do) break;
    }
    return found;
}

/* Whether the side to move has a legal move and each can be answered by mate. `killer` is the reply
   that last defended; it is tried first. */
static int is_lost(const Position *p, Move *killer) {
    Move replies[ALL_MOVES], mates[ALL_MOVES];
    const int n = legal(p, replies, 0);
    if (!n) return 0;
    for (int i = 1; i < n; i++)
        if (replies[i] == *killer) {
            replies[i] = replies[0];
            replies[0] = *killer;
            break;
        }
    for (int i = 0; i < n; i++) {
        Position after;
        make(p, replies[i], &after);
        if (!mates_in_one(&after, mates, 1)) {
            *killer = replies[i];
            return 0;
        }
    }
    return 1;
}

/* The first moves that mate in two, not at once; it stops when there are `most`. */
static int mates_in_two(const Position *p, Move *keys, int most) {
    Move moves[ALL_MOVES], killer = 0;
    int found = 0;
    const int n = legal(p, moves, 0);
    for (int i = 0; i < n && found < most; i++) {
        Position after;
        make(p, moves[i], &after);
        if (is_lost(&after, &killer)) keys[found++] = moves[i];
    }
    return found;
}

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
};

/* Fills a record, if the position is of that kind by proof; else says why it is not. */
static int fill(const Position *p, int kind, Record *record) {
    Move moves[ALL_MOVES], found[ALL_MOVES], killer = 0;
    const int n = legal(p, moves, 0);
    if (n > MOST_MOVES) return TOO_MANY_MOVES;
    if (n == 0) return NO_MOVES;
    const int mates = mates_in_one(p, found, 0);
    Move key = 0;
    if (kind == MATE_IN_ONE && !mates) return HAS_NO_MATE_IN_ONE;
    if (kind == DEFENCE && !is_lost(p, &killer)) return IS_NOT_LOST;
    if (kind == MATE_IN_TWO || kind == NO_MATE) {
        if (mates) return HAS_MATE_IN_ONE;
        const int keys = mates_in_two(p, found, 2);
        if (kind == NO_MATE && keys) return HAS_MATE_IN_TWO;
        if (kind == MATE_IN_TWO && !keys) return HAS_NO_MATE_IN_TWO;
        if (kind == MATE_IN_TWO && keys > 1) return HAS_SEVERAL_KEYS;
        key = keys ? found[0] : 0;
    }
    memset(record, 0, sizeof *record);
    memcpy(record->pieces, p->pieces, sizeof record->pieces);
    record->kind = (uint8_t)kind;
    record->outcome = kind == DEFENCE ? 2 : kind == NO_MATE ? 1 : 0;
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
        answers[i] = kind == DEFENCE ? mates_in_one(&after, buffer, 0) : 0;
        if (greedy[i] > best) best = greedy[i];
        if (replies[i] < fewest) fewest = replies[i];
        if (answers[i] < hardest) hardest = answers[i];
    }
    for (int i = 0; i < n; i++) {
        record->moves[i] = (uint16_t)(moves[i] & 0x7FFF);
        if (greedy[i] == best) record->target[i] |= GREEDY;
        if (replies[i] == fewest) record->target[i] |= FEWEST_REPLIES;
        if (kind == MATE_IN_TWO ? moves[i] == key
            : kind == MATE_IN_ONE ? record->target[i] & MATE
                                  : kind == DEFENCE && answers[i] == hardest)
            record->target[i] |= STRONG;
    }
    return FITS;
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

/* The same position with one man moved, removed or added; 0 if it did not fit this time. */
static int altered(Random *random, const Position *p, Position *other) {
    *other = *p;
    const int way = draw(random, 8);
    if (way == 0) { /* a man more */
        int side = draw(random, 2), piece = draw(random, 5), square = draw(random, 64);
        if (population(p->men[side]) >= 5 || !may_stand(p, side, piece, square)) return 0;
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
        if (!altered(random, root, &other)) continue;
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

/* ---- single positions ------------------------------------------------------------------------ */

static Position position_of(const u64 *pieces, int castling, int en_passant) {
    Position p;
    memset(&p, 0, sizeof p);
    memcpy(p.pieces, pieces, sizeof p.pieces);
    for (int i = 0; i < 12; i++) p.men[i / 6] |= pieces[i];
    p.castling = castling;
    p.en_passant = en_passant;
    return p;
}

static int given(const Move *moves, int n, uint16_t *out) {
    for (int i = 0; i < n; i++) out[i] = (uint16_t)(moves[i] & 0x7FFF);
    return n;
}

int mates_legal(const u64 *pieces, int castling, int en_passant, uint16_t *out) {
    Position p = position_of(pieces, castling, en_passant);
    Move moves[ALL_MOVES];
    return given(moves, legal(&p, moves, 0), out);
}

int mates_one(const u64 *pieces, int castling, int en_passant, uint16_t *out) {
    Position p = position_of(pieces, castling, en_passant);
    Move moves[ALL_MOVES];
    return given(moves, mates_in_one(&p, moves, 0), out);
}

int mates_two(const u64 *pieces, int castling, int en_passant, uint16_t *out) {
    Position p = position_of(pieces, castling, en_passant);
    Move moves[ALL_MOVES];
    return given(moves, mates_in_two(&p, moves, ALL_MOVES), out);
}

int mates_record(const u64 *pieces, int castling, int kind, Record *record) {
    Position p = position_of(pieces, castling, NO_SQUARE);
    if (kind < MATE_IN_TWO || kind > NO_MATE) return NO_SUCH_KIND;
    return fill(&p, kind, record);
}

int mates_held_out(const u64 *pieces, int castling) {
    Position p = position_of(pieces, castling, NO_SQUARE);
    return is_held_out(identity(&p));
}

int mates_record_size(void) { return (int)sizeof(Record); }
