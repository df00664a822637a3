/* --curl ID: a command line for curl that sends a recorded request again, to the server it was sent
 * to. Quoted for a POSIX shell: whatever the request holds, the shell sees words. */
#ifndef NU_TOOLS_TAP_CURL_H
#define NU_TOOLS_TAP_CURL_H

#include "tools/tap/event.h"
#include "tools/tap/text.h"

#define TAP_CURL_BODY (1u << 20) /* bytes of a body; a longer one does not fit a command line */

struct tap_curl {
    struct tap_out out;
    struct tap_id id;
    bool found;
};

/* Its context is a struct tap_curl. */
extern const struct tap_sink tap_curl_sink;

#endif
