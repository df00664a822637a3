/* --har: exchanges as an HTTP archive (HAR 1.2, http://www.softwareishard.com/blog/har-12-spec/),
 * which browsers' developer tools open. An entry is written when its exchange is told and is never
 * looked at again, so that its memory is that of one. Credentials and cookies are *** unless asked
 * for; bodies are as they were. One thread. */
#ifndef NU_TOOLS_TAP_HAR_H
#define NU_TOOLS_TAP_HAR_H

#include "tools/tap/event.h"
#include "tools/tap/text.h"

#define TAP_HAR_BODY (4u << 20) /* bytes of each body; who reads an archive holds all of them */

struct tap_har {
    const char *path;       /* "-" = the standard output */
    int source;             /* that is read, which may not be the same file; -1 = none */
    struct tap_out out;     /* the archive */
    struct tap_out scratch; /* a value, before it is escaped; its show_secrets counts */
    struct tap_id only;     /* flow 0 = all */
    bool comma;             /* something stands before, in the array */
    uint64_t entries;
};

/* Its path is set, and what is not to be as it is. False: told on stderr. */
bool tap_har_open(struct tap_har *har);
/* Its context is a struct tap_har. */
extern const struct tap_sink tap_har_sink;
/* False: not all of it was written; told. Fine if it was not opened. */
bool tap_har_close(struct tap_har *har);

#endif
