/* The time as HTTP writes it (RFC 9110 5.6.7), formatted once a second on each thread. */
#ifndef NU_L7_DATE_H
#define NU_L7_DATE_H

#include "protocols/http/head.h"

#define NU_HTTP_DATE_BYTES 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Now. The text is the thread's own, good until the next call. */
struct nu_text nu_http_date_now(void);
/* The same for a time since the epoch, in years of four digits. */
void nu_http_date_write(char out[static NU_HTTP_DATE_BYTES], int64_t second);

#endif
