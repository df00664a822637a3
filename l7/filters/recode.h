/* A body on its way through a coder, under back-pressure: what compress and decompress share. A
 * member of a filter's instance, one a direction; not a filter itself. */
#ifndef NU_L7_FILTERS_RECODE_H
#define NU_L7_FILTERS_RECODE_H

#include "core/chain.h"
#include "protocols/coding/coder.h"

#define RECODE_BLOCK NU_BLOCK_SMALL /* of output: what is made before one asks who is blocked */

/* A small body may well be one long run of zeros: a ratio is judged from here on. */
#define RECODE_RATIO_FROM (256 * 1024) /* bytes of output */

enum recode_fault { RECODE_BAD, RECODE_TOO_LARGE, RECODE_RATIO };
const char *recode_fault_str(enum recode_fault fault);

struct recode {
    struct nu_filter *filter;
    struct nu_coder *coder;            /* NULL: nothing flows through */
    void (*fault)(struct nu_filter *); /* `fault_is` says what; nothing was ended yet */
    struct nu_slice in;                /* the rest of one event: the filter holds meanwhile */
    struct nu_ev last;                 /* TRAIL or END behind it, while has_last */
    uint64_t taken, made;              /* bytes in and out */
    uint64_t max_made;                 /* 0 = any number */
    uint32_t max_ratio;                /* of made to taken; 0 = any */
    uint8_t dir, what, fault_is;
    bool has_last;
    bool finished; /* the coder has said all */
};

/* From the filter's callbacks, for events in this direction; each takes ownership. */
void recode_data(struct recode *r, struct nu_slice data);
/* TRAIL, END: goes behind what is in the coder. A cut END has no proper ending written. */
void recode_last(struct recode *r, struct nu_ev *ev);
/* What the coder keeps goes out now, unless it waits for a blocked way, which does the same. */
void recode_flush(struct recode *r);
/* The way ahead is free again. */
void recode_go(struct recode *r);
/* No event after this one is recoded; from `close`, too. */
void recode_free(struct recode *r);

#endif
