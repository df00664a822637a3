/* The parts of a line about an exchange, for line.c and join_show.c. */
#ifndef NU_TOOLS_TAP_LINE_PRIV_H
#define NU_TOOLS_TAP_LINE_PRIV_H

#include "tools/tap/event.h"
#include "tools/tap/text.h"

/* line.c */
void line_put_url(struct tap_out *out, const struct tap_exchange *x);
void line_put_status(struct tap_out *out, const struct tap_exchange *x);
void line_put_times(struct tap_out *out, const struct tap_exchange *x);
void line_put_note(struct tap_out *out, const struct tap_note *note);

/* join_show.c: what --join has tied to it, in the same line; below it, what each proxy changed in
 * the fields. */
void line_put_backs(struct tap_out *out, const struct tap_exchange *x);
void line_put_changes(struct tap_out *out, const struct tap_exchange *x);

#endif
