/* probe: a filter whose callbacks are the test's own, and which writes a diary of all that happens
 * to it. Stands anywhere; a joint probe stands at a chain's end and ties it to another. */
#ifndef NU_TESTS_PROBE_H
#define NU_TESTS_PROBE_H

#include "core/chain.h"

/* What happened, in order, in words like "a>data:5 b<end:clean a:flow> a:close". */
struct nu_diary {
    char text[4096];
    size_t len;
};
void nu_diary_add(struct nu_diary *diary, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* What it says, and starts a new page. Valid until the next call. */
const char *nu_diary_read(struct nu_diary *diary);

/* Conf of a probe; outlives the chain. Callbacks that are NULL do the plain thing: events are
 * forwarded, all else is nothing. */
struct nu_probe {
    const char *name;
    struct nu_diary *diary; /* NULL: keeps none */
    enum nu_open (*open)(struct nu_filter *f);
    void (*start)(struct nu_filter *f);
    void (*event)(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev);
    void (*flow)(struct nu_filter *f, enum nu_dir dir, bool go);
    void (*signal)(struct nu_filter *f, enum nu_signal signal);
    void (*close)(struct nu_filter *f);
    void *user;
    struct nu_filter *self; /* NULL once closed */
};

extern const struct nu_filter_type nu_probe;      /* SAME, SAME; sees all */
extern const struct nu_filter_type nu_probe_left; /* an end: nothing on its left */
extern const struct nu_filter_type nu_probe_right;
extern const struct nu_filter_type nu_probe_joint; /* an end that joins; parts in close */

/* The conf of a probe; its joint. */
struct nu_probe *nu_probe_of(const struct nu_filter *f);
struct nu_joint *nu_probe_joint_of(struct nu_filter *f);

/* Text as DATA, in a block of its own. */
struct nu_ev nu_text_ev(struct nu_filter *f, const char *text);
/* From outside: `text` leaves the filter as DATA; END leaves it; it holds or lets go. */
void nu_say(struct nu_filter *f, enum nu_dir dir, const char *text);
void nu_say_end(struct nu_filter *f, enum nu_dir dir, enum nu_cause cause);
void nu_outside_hold(struct nu_filter *f, enum nu_dir dir, bool on);

#endif
