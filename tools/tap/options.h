/* The command line of nuncio-tap, read and checked. Main thread, before anything runs. */
#ifndef NU_TOOLS_TAP_OPTIONS_H
#define NU_TOOLS_TAP_OPTIONS_H

#include "tools/nuncio/command.h"
#include "tools/tap/event.h"
#include "tools/tap/replay.h"
#include "tools/tap/write_file.h"

#define TAP_KEYLOGS_MAX     8
#define TAP_EXPRESSION_MAX  4096 /* bytes of a capture expression, its words joined */
#define TAP_SNAPLEN_DEFAULT 262144

struct tap_options {
    const char *interface; /* one of these two */
    const char *file;      /* "-" = standard input */
    char expression[TAP_EXPRESSION_MAX];
    const char *keylog[TAP_KEYLOGS_MAX];
    unsigned keylogs;
    const char *where;
    const char *docs;           /* a page that is made when the program is built */
    struct tap_id follow, curl; /* flow 0 = not asked for */
    struct tap_target write;    /* path NULL = nothing */
    const char *har;
    const char *replay; /* a URL */
    struct tap_pace pace;
    bool diff, paced, join;
    size_t memory_max;
    unsigned snaplen; /* bytes of a packet that are looked at */
    int verbose;
    bool json, stats, fields, version, show_secrets;
    bool color; /* of the standard output */
};

extern const struct nu_command tap_command;

/* NU_EXIT_OK and *leave: nothing to do any more (--help). */
enum nu_exit tap_options_read(struct tap_options *out, int argc, char **argv, bool *leave);

#endif
