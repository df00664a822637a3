/* --json: an object a line for each event, with -v header fields, with -vv bodies; keys whose value
 * is not known are absent. The keys are a contract, docs/tap.md has them. */
#ifndef NU_TOOLS_TAP_JSON_H
#define NU_TOOLS_TAP_JSON_H

#include "tools/tap/event.h"
#include "tools/tap/text.h"

struct tap_json {
    struct tap_out out;
    int verbose; /* 0, 1 fields, 2 bodies */
    bool comma;  /* a key stands already in this object */
};

/* Its context is a struct tap_json. */
extern const struct tap_sink tap_json_sink;

#endif
