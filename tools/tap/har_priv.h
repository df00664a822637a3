/* What the parts of har.h share: har.c the archive and its entries, har_message.c requests and
 * responses. */
#ifndef NU_TOOLS_TAP_HAR_PRIV_H
#define NU_TOOLS_TAP_HAR_PRIV_H

#include "tools/tap/har.h"

/* Members of the object, or elements of the array, that is under way; a NULL key is an element. */
void har_key(struct tap_har *h, const char *key);
void har_open(struct tap_har *h, const char *key, char bracket);
void har_close(struct tap_har *h, char bracket);
void har_text(struct tap_har *h, const char *key, struct nu_text value);
void har_str(struct tap_har *h, const char *key, const char *value);
void har_number(struct tap_har *h, const char *key, int64_t value);

void har_put_request(struct tap_har *h, const struct tap_exchange *x);
void har_put_response(struct tap_har *h, const struct tap_exchange *x);

#endif
