/* Regular expressions of a config, and what they replace. PCRE2 without its JIT: no memory of this
 * process is ever executable and writable (the filter of system calls, systemd's
 * MemoryDenyWriteExecute), and a start and a reload must not differ. Measured: 40 to 155 ns for
 * what routes have, 25 ns with JIT.
 *
 * Compiled on the main thread, then read-only; any thread matches, with memory of its own. */
#ifndef NU_L7_ROUTE_REGEX_H
#define NU_L7_ROUTE_REGEX_H

#include "core/conf/schema.h"
#include "core/stats.h"
#include "protocols/http/head.h"

/* Steps of one match: a hostile subject of a careless pattern costs 0.1 ms at most. */
#define NU_REGEX_STEPS_MAX   10000
#define NU_REGEX_HEAP_KIB    2048 /* of a thread, for backtracking */
#define NU_REGEX_GROUPS      10   /* \0 to \9 */
#define NU_REGEX_REPLACE_MAX 256  /* places in one subject */

struct nu_regex;
struct nu_regex_edit;

enum nu_regex_stat { NU_REGEX_FAILED };
/* "regex": enum nu_regex_stat. */
extern const struct nu_stat_group nu_regex_stats;

/* A pattern: `out` is a const struct nu_regex **, NULL on errors. It matches anywhere in its
 * subject unless it is anchored; bytes, not characters. Freed with the arena. */
nu_parse_fn nu_regex_parse;
const char *nu_regex_text(const struct nu_regex *regex);
/* GAVE_UP: a limit ended the search; counted, and for the caller no match, inverted or not. */
enum nu_regex_found { NU_REGEX_MISS, NU_REGEX_HIT, NU_REGEX_GAVE_UP };
const char *nu_regex_found_str(enum nu_regex_found found);
enum nu_regex_found nu_regex_match(const struct nu_regex *regex, struct nu_text subject);

/* {pattern, with}: every place where the pattern matches becomes `with`, in which \0 to \9 are what
 * its groups matched. */
extern const struct nu_schema nu_regex_edit_schema;
struct nu_regex_edit {
    const struct nu_regex *regex;
    const char *with;
};
struct route_out;
/* Writes the subject, edited. False: a limit of the search, or too many places. */
bool nu_regex_replace(const struct nu_regex_edit *edit, struct nu_text subject,
                      struct route_out *out);

#endif
