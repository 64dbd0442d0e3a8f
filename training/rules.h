/* The rules of chess, and mates by exhaustive search.

Every position is in the view of the side to move ("own"), which plays up the board: square a1 is
bit 0, h8 bit 63. `make` turns the board round, so one set of rules serves both sides. A mate in n
is a first move after which the other side has a legal reply, and every legal reply can be answered
by a mate in fewer moves. Nothing is estimated.

After mates_init nothing global is written, so calls may run in parallel.
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

#define ALL_MOVES 256 /* no legal position has more than 218 */
#define NO_SQUARE (-1)

typedef struct {
    u64 pieces[2][6];
    u64 men[2];
    int castling;
    int en_passant; /* the square behind a pawn that has just moved two steps, or NO_SQUARE */
} Position;

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

/* Legal moves, with `one_will_do` only the first. With `aims`, of each piece, only moves to such
   squares, of the men `anywhere` all, and whatever promotes, castles or takes en passant. */
static inline int legal_aimed(const Position *p, Move *moves, int one_will_do, const u64 *aims,
                              u64 anywhere) {
    const u64 own = p->men[OWN], their = p->men[THEIR], occupied = own | their;
    const int king = king_of(p, OWN);
    const u64 checkers = attackers(p, THEIR, king, occupied);
    int n = 0;
    u64 steps = king_reach[king] & ~own;
    if (aims && !(anywhere & BIT(king))) steps = 0;
    while (steps) {
        int square = take(&steps);
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
            if (aims && !(anywhere & BIT(from))) to &= aims[piece];
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
        if (aims && !(anywhere & BIT(from))) to &= aims[PAWN] | ENDS;
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

/* All legal moves; with `one_will_do` it stops as soon as there is one. */
static int legal(const Position *p, Move *moves, int one_will_do) {
    return legal_aimed(p, moves, one_will_do, 0, 0);
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
    const int n = legal_aimed(p, moves, 0, checks, opening);
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

/* Puts the reply that last defended first: it mostly defends again. */
static void try_first(Move *replies, int n, Move killer) {
    for (int i = 1; i < n; i++)
        if (replies[i] == killer) {
            replies[i] = replies[0];
            replies[0] = killer;
            return;
        }
}

/* Whether the side to move has a legal move and each can be answered by mate. `killer` is the reply
   that last defended; it is tried first. */
static int is_lost(const Position *p, Move *killer) {
    Move replies[ALL_MOVES], mates[ALL_MOVES];
    const int n = legal(p, replies, 0);
    if (!n) return 0;
    try_first(replies, n, *killer);
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

/* The first moves that mate in two, not at once; it stops when there are `most`. `killer` is as in
   `is_lost`. */
static int keys_in_two(const Position *p, Move *keys, int most, Move *killer) {
    Move moves[ALL_MOVES];
    int found = 0;
    const int n = legal(p, moves, 0);
    for (int i = 0; i < n && found < most; i++) {
        Position after;
        make(p, moves[i], &after);
        if (is_lost(&after, killer)) keys[found++] = moves[i];
    }
    return found;
}

static int mates_in_two(const Position *p, Move *keys, int most) {
    Move killer = 0;
    return keys_in_two(p, keys, most, &killer);
}

/* As `is_lost`, where each reply can be answered by a mate in at most two. */
static int is_lost_long(const Position *p, Move killers[2]) {
    Move replies[ALL_MOVES], found[ALL_MOVES];
    const int n = legal(p, replies, 0);
    if (!n) return 0;
    try_first(replies, n, killers[0]);
    for (int i = 0; i < n; i++) {
        Position after;
        make(p, replies[i], &after);
        if (!mates_in_one(&after, found, 1) && !keys_in_two(&after, found, 1, &killers[1])) {
            killers[0] = replies[i];
            return 0;
        }
    }
    return 1;
}

/* The first moves that mate in three or in two, not at once; it stops when there are `most`. */
static int mates_in_three(const Position *p, Move *keys, int most) {
    Move moves[ALL_MOVES], killers[2] = {0, 0};
    int found = 0;
    const int n = legal(p, moves, 0);
    for (int i = 0; i < n && found < most; i++) {
        Position after;
        make(p, moves[i], &after);
        if (is_lost_long(&after, killers)) keys[found++] = moves[i];
    }
    return found;
}
