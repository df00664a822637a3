/* Users and the hashes of their passwords, as Apache's htpasswd writes them: lines "name:hash",
 * where the hash is bcrypt ($2y$, $2b$, $2a$) or {SHA}. Immutable once read; any thread. */
#ifndef NU_PROTOCOLS_HTTP_HTPASSWD_H
#define NU_PROTOCOLS_HTTP_HTPASSWD_H

#include "protocols/http/head.h"

#define NU_HTPASSWD_MAX_BYTES (16u << 20) /* of a file: 200,000 users */
#define NU_HTPASSWD_NAME_MAX  255         /* bytes: it goes to a header */
#define NU_HTPASSWD_COST_MAX  14          /* of bcrypt: a second of CPU each time */
#define NU_HTPASSWD_HASH_LEN  60          /* of bcrypt */

struct nu_htpasswd;

struct nu_htpasswd_user {
    struct nu_text name;
    bool is_bcrypt;
    union {
        uint8_t sha1[20];
        char bcrypt[NU_HTPASSWD_HASH_LEN + 1];
    } u;
};

/* What is wrong: the first line, if it is one. */
struct nu_htpasswd_fault {
    uint32_t line;
    char what[120];
};

/* Reads lines; empty ones and those that begin with # are passed over. Not NU_OK: *out is NULL. The
 * caller frees it. */
enum nu_err nu_htpasswd_parse(const char *text, size_t len, struct nu_htpasswd **out,
                              struct nu_htpasswd_fault *fault);
/* NULL is fine. */
void nu_htpasswd_free(struct nu_htpasswd *users);
size_t nu_htpasswd_count(const struct nu_htpasswd *users);
/* Lives as long as the users; NULL: none by that name. */
const struct nu_htpasswd_user *nu_htpasswd_find(const struct nu_htpasswd *users,
                                                struct nu_text name);
/* The costliest bcrypt hash among them, to be compared with where a name is not known, so that time
 * does not tell; NULL: there is none. */
const char *nu_htpasswd_costliest(const struct nu_htpasswd *users);

/* Of a user with a SHA-1. */
bool nu_htpasswd_is_sha1(const struct nu_htpasswd_user *user, struct nu_text password);
/* Slow, as it is meant to be: milliseconds to a second, so never on a worker. The password is a
 * string; of those over 72 bytes the rest does not count, as everywhere with bcrypt. */
bool nu_htpasswd_is_bcrypt(const char *hash, const char *password);

#endif
