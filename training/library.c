/* All of it as one unit: what python calls. */

#include "rules.h"
#include "records.h"
#include "mates.c"
#include "one_ply.h"
#include "tactics.c"

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

int mates_three(const u64 *pieces, int castling, int en_passant, uint16_t *out) {
    Position p = position_of(pieces, castling, en_passant);
    Move moves[ALL_MOVES];
    return given(moves, mates_in_three(&p, moves, ALL_MOVES), out);
}

int mates_record(const u64 *pieces, int castling, int kind, Record *record) {
    Position p = position_of(pieces, castling, NO_SQUARE);
    if (kind < 0 || kind >= KINDS) return NO_SUCH_KIND;
    return fill(&p, kind, record);
}

int mates_held_out(const u64 *pieces, int castling) {
    Position p = position_of(pieces, castling, NO_SQUARE);
    return is_held_out(identity(&p));
}

int mates_held_out_tactic(const u64 *pieces, int castling) {
    Position p = position_of(pieces, castling, NO_SQUARE);
    return is_held_out_here(identity(&p));
}

int mates_features(void) { return FEATURES; }
int mates_terms(void) { return TERMS; }

/* Of so many records that lie so many bytes apart, in the order of their moves. */
void mates_one_ply(const char *records, int64_t apart, int64_t count, const int32_t *weights,
                   int16_t features[][MOST_MOVES][FEATURES], int32_t scores[][MOST_MOVES]) {
    for (int64_t i = 0; i < count; i++) {
        const Record *record = (const Record *)(records + i * apart);
        Position p = position_of(record->pieces, record->castling, NO_SQUARE);
        Move moves[ALL_MOVES];
        int16_t seen[ALL_MOVES][FEATURES];
        int32_t score[ALL_MOVES];
        const int n = see_one_ply(&p, weights, moves, seen, score);
        for (int j = 0; j < n; j++) {
            int at = 0;
            while (at < record->count && record->moves[at] != (moves[j] & 0x7FFF)) at++;
            if (at == record->count) continue;
            memcpy(features[i][at], seen[j], sizeof seen[j]);
            if (weights) scores[i][at] = score[j];
        }
    }
}

int mates_record_size(void) { return (int)sizeof(Record); }

int mates_tactic_size(void) { return (int)sizeof(Tactic); }
