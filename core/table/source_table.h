/* What each source does: its connections now, and how fast they come. A source is a prefix of
 * clients' addresses. One table for all workers, of a fixed size.
 *
 * Rate is kept as the time when the source has paid for what it opened (GCRA, the leaky bucket in
 * one number), so a source without connections whose time has come is as good as unknown: its place
 * is free for others. Any other source keeps its place, whoever else comes: nobody can have
 * somebody's debts forgotten by sending many. A table that is full of such sources says so.
 *
 * Any thread: a lock for the few sources that share it, held for the time of a look. */
#ifndef NU_CORE_TABLE_SOURCE_TABLE_H
#define NU_CORE_TABLE_SOURCE_TABLE_H

#include "core/addr.h"

#include <stddef.h>
#include <stdint.h>

#define NU_SOURCE_TABLE_MAX (1u << 20) /* sources: 34 MB */

struct nu_source_table;
struct nu_source; /* a place in it */

/* Room for that many sources, rounded up to 64. NULL: no memory of that size. */
struct nu_source_table *nu_source_table_new(uint32_t sources);
/* Nobody is in. NULL is fine. */
void nu_source_table_free(struct nu_source_table *table);

/* What one source may do. */
struct nu_source_limit {
    uint32_t connections; /* at once; 0 = any number */
    int64_t interval_us;  /* a connection costs so much time; 0 = no limit of the rate */
    int64_t burst_us;     /* time that it may be in debt: interval * (burst - 1) */
};

enum nu_source_answer {
    NU_SOURCE_IN,       /* counted, until nu_source_leave */
    NU_SOURCE_TOO_MANY, /* has its connections; this one left no trace, nor do those below */
    NU_SOURCE_TOO_FAST,
    NU_SOURCE_FULL, /* a source that is not known, and no place for it */
};
const char *nu_source_answer_str(enum nu_source_answer answer);

/* A connection from the network `prefix` around `addr` (IP kinds only; prefix in bits) at that time
 * of a clock that all threads share. *place is for nu_source_leave if the answer is IN, else NULL;
 * *first tells that the source had no connection. */
enum nu_source_answer nu_source_enter(struct nu_source_table *table, const struct nu_addr *addr,
                                      unsigned prefix, const struct nu_source_limit *limit,
                                      int64_t now_us, struct nu_source **place, bool *first);
/* The connection is over; true if it was the source's last. */
bool nu_source_leave(struct nu_source_table *table, struct nu_source *place);

/* Places taken, forgettable sources included; for tests. */
uint32_t nu_source_table_taken(struct nu_source_table *table);

#endif
