/* Ids of requests: UUIDs of version 4 (RFC 9562 5.4). */
#ifndef NU_L7_REQUEST_ID_H
#define NU_L7_REQUEST_ID_H

#define NU_UUID_BYTES 36 /* "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx" */

/* Writes a new one, not NUL-terminated. No system call but the thread's first: each thread has a
 * generator of its own, seeded by the system. Ids do not collide, but who sees many can tell the
 * next ones: they are names, not secrets. */
void nu_request_id(char out[static NU_UUID_BYTES]);

#endif
