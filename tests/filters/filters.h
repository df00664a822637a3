/* The test filters: small, exact, and made to break what is sloppy around them. All may stand
 * anywhere between two ends, on any face; pass NULL as conf for the defaults named here. */
#ifndef NU_TESTS_FILTERS_H
#define NU_TESTS_FILTERS_H

#include "core/chain.h"

/* Cuts DATA into single bytes. */
extern const struct nu_filter_type nu_shred;

/* Joins DATA into larger pieces; what is kept leaves when full, late, or before anything else. */
struct nu_glue_conf {
    size_t bytes;     /* 1000 */
    int64_t delay_ms; /* 2 */
};
extern const struct nu_filter_type nu_glue;

/* Lets `bytes` of DATA through, then holds for `every_ms`. */
struct nu_slow_conf {
    size_t bytes;     /* 100 */
    int64_t every_ms; /* 1 */
};
extern const struct nu_filter_type nu_slow;

/* Keeps the first event of each direction, a HEAD or what comes first, and passes it on later. */
struct nu_late_conf {
    int64_t delay_ms; /* 5 */
};
extern const struct nu_filter_type nu_late;

/* Hears neither events nor flow: all passes it by. */
extern const struct nu_filter_type nu_deaf;

/* Fails the chain with a cause once `bytes` of payload came in `dir`, or at END. Never with NULL.
 */
struct nu_fail_conf {
    enum nu_dir dir;
    uint64_t bytes;
    bool at_end, at_open;
    enum nu_cause cause;
    enum nu_side side;
};
extern const struct nu_filter_type nu_fail_at;

/* Passes all on until event number `at` of either direction, then does one thing, once. */
enum nu_mischief {
    NU_MISCHIEF_HOLD,   /* holds that direction for `ms`, again and again `times` */
    NU_MISCHIEF_INSERT, /* inserts `places` on `side` */
    NU_MISCHIEF_BYPASS,
    NU_MISCHIEF_DROP,
    NU_MISCHIEF_END, /* ends that direction itself, then drops it */
    NU_MISCHIEF_FAIL,
    NU_MISCHIEFS
};
struct nu_mischief_conf {
    enum nu_mischief what;
    unsigned at, times;
    int64_t ms;
    enum nu_dir side;
    const struct nu_place *places;
    unsigned count;
};
extern const struct nu_filter_type nu_mischief;

/* Counts and hashes what passes, per direction, into the test's own struct, which outlives it. */
struct nu_check_report {
    uint64_t bytes[2], hash[2];
    bool ended[2];
    struct nu_result end[2];
};
extern const struct nu_filter_type nu_check;
#define NU_HASH_START 0xcbf29ce484222325u
uint64_t nu_test_hash(uint64_t hash, const uint8_t *bytes, size_t len); /* FNV-1a */

/* Asserts, in both directions: the grammar of the face it stands in, that its neighbours' faces
 * fit, END once and nothing behind it, that it is never entered twice (R1). A fault goes to
 * nu_pedant_fault, which prints and aborts unless a test puts its own function there. */
extern const struct nu_filter_type nu_pedant;
extern void (*nu_pedant_fault)(const struct nu_filter *f, const char *what);

#endif
