/* Key logs (--keylog): read whole at the start, then on while they grow. They are opened while the
 * program still may. */
#ifndef NU_TOOLS_TAP_KEYLOG_H
#define NU_TOOLS_TAP_KEYLOG_H

#include "tools/tap/tap.h"

struct tap_keylogs;

struct tap_keylogs *tap_keylogs_new(void);
/* False: told on stderr. */
bool tap_keylogs_open(struct tap_keylogs *logs, const char *path);
/* What has come since the last time goes to the tap, in whole lines; with `end` also a last line
 * that has no end. */
void tap_keylogs_read(struct tap_keylogs *logs, struct tap *tap, bool end);
/* All that is in them, once more, for another tap. False: they are no files. */
bool tap_keylogs_again(const struct tap_keylogs *logs, struct tap *tap);
/* NULL is fine. */
void tap_keylogs_free(struct tap_keylogs *logs);

#endif
