/* Host-name patterns -> pointer, for SNI and Host: "a.test" exact, "*.b.test" any name one or more
 * labels below b.test, "*" any name. Case of ASCII letters and one trailing dot don't matter.
 * A hash table of suffixes: a lookup costs what the name is long, however many patterns there are.
 * Built on one thread, then read-only from any. What the pointers mean is the caller's. */
#ifndef NU_CORE_TABLE_DOMAIN_H
#define NU_CORE_TABLE_DOMAIN_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NU_DOMAIN_MAX_BYTES                                                                        \
    253 /* of a name in text form, without a trailing dot (RFC 1035 2.3.4) */
#define NU_DOMAIN_LABEL_MAX_BYTES 63

struct nu_arena;
struct nu_domain_table;

/* NU_OK if `pattern` is one that nu_domain_add takes, else NU_ERR_SYNTAX and a static reason for
 * the config's error ("label longer than 63 bytes", "an IP address is no host name", ...). */
enum nu_err nu_domain_check(const char *pattern, size_t len, const char **reason);

/* Whether the text is an IPv4 address, or an IPv6 one with or without brackets: such are never
 * names, neither in a config nor in SNI. */
bool nu_domain_is_ip(const char *text, size_t len);

/* An empty table; lives and dies with the arena, or without one is freed by the caller. */
struct nu_domain_table *nu_domain_new(struct nu_arena *arena);
void nu_domain_free(struct nu_domain_table *table);

/* Adds a pattern; the value (never NULL) is borrowed. NU_ERR_SYNTAX with a reason as above;
 * NU_ERR_EXISTS if the pattern is there already, and nothing changes. */
enum nu_err nu_domain_add(struct nu_domain_table *table, const char *pattern, size_t len,
                          void *value, const char **reason);
/* The place of a pattern's value, made (holding NULL) when it is new: for callers that keep a list
 * per pattern. NULL with a reason for a bad pattern. Valid until the next add or slot; a slot
 * left NULL does not match. */
void **nu_domain_slot(struct nu_domain_table *table, const char *pattern, size_t len,
                      const char **reason);

/* Where a lookup goes on. Holds no part of the name. */
struct nu_domain_iter {
    const struct nu_domain_table *table;
    uint32_t node; /* the next wildcard to offer, 0 = none */
};

/* The best value for a name, or NULL: the exact one, else of the longest wildcard. The name is any
 * bytes from a peer; one that is empty, too long or has empty labels matches "*" alone. */
void *nu_domain_find(const struct nu_domain_table *table, const char *name, size_t len,
                     struct nu_domain_iter *it);
/* The next best, from longest wildcard to shortest, "*" last; NULL at the end. */
void *nu_domain_next(struct nu_domain_iter *it);

#endif
