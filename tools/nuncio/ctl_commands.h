/* What `nuncio ctl` knows to ask, as a table. */
#ifndef NU_TOOLS_NUNCIO_CTL_COMMANDS_H
#define NU_TOOLS_NUNCIO_CTL_COMMANDS_H

#include <stdio.h>

#define NU_CTL_TARGET_MAX 4096 /* bytes; the admin takes no longer one */

struct nu_ctl_command {
    const char *name, *args, *doc;
    const char *method;
    const char
        *target;      /* "/logging?level=": the argument follows, encoded; NULL: help, no request */
    const char *bare; /* the target without an argument; NULL: an argument is needed */
};

/* The i-th command; NULL behind the last. */
const struct nu_ctl_command *nu_ctl_command_at(size_t i);
/* The table as lines, for help texts. */
void nu_ctl_commands_print(FILE *out);
/* The command that words name, and its target; or NULL, and `error` has a sentence. `arg` may be
 * NULL. A word that begins with a slash is a path to GET. */
const struct nu_ctl_command *nu_ctl_command_find(const char *word, const char *arg,
                                                 char target[static NU_CTL_TARGET_MAX],
                                                 char error[static 256]);

#endif
