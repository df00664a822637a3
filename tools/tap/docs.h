/* Pages that are made when the program is built: its man page, with docs/tap.md on the standard
 * input, and shell completion. */
#ifndef NU_TOOLS_TAP_DOCS_H
#define NU_TOOLS_TAP_DOCS_H

#include <stdbool.h>

/* "man" or "completion", to the standard output. False: there is no such page. */
bool tap_docs(const char *page);

#endif
