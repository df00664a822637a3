/* JA3: the MD5 of what a ClientHello offers, in the order it offers it, as its authors at
 * Salesforce defined it: version,ciphers,extensions,groups,point formats in decimal, GREASE values
 * left out. For logs and matches; the same client may have many of them, since browsers shuffle
 * extensions. Sans-I/O; any thread. */
#ifndef NU_PROTOCOLS_TLS_JA3_H
#define NU_PROTOCOLS_TLS_JA3_H

#include "protocols/tls/client_hello.h"

#define NU_JA3_BYTES 33 /* 32 lower-case hexadecimal digits and a NUL */

/* Of a hello that was read whole (NU_OK). False, and "": this OpenSSL refuses MD5 (FIPS). */
bool nu_ja3(const struct nu_client_hello *ch, char out[static NU_JA3_BYTES]);

#endif
