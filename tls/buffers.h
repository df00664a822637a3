/* OpenSSL's memory: the buffers of its records are kept by thread, as they come and go with every
 * record (SSL_MODE_RELEASE_BUFFERS). The rest is malloc's. */
#ifndef NU_TLS_BUFFERS_H
#define NU_TLS_BUFFERS_H

#include <stdbool.h>

/* Before anything else is asked of OpenSSL. False: something was, and all stays malloc's. */
bool nu_tls_buffers_install(void);

#endif
