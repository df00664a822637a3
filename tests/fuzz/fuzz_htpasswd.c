/* Lines of users: what is taken can be found again, as often as there are users, and its hashes are
 * such that comparing has a bound. */
#include "core/assert.h"
#include "protocols/http/htpasswd.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool known(const struct nu_htpasswd *users, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (len == 0 || *line == '#' || !colon)
        return false;
    const struct nu_htpasswd_user *user =
        nu_htpasswd_find(users, nu_text(line, (size_t)(colon - line)));
    nu_assert(user && user->name.len <= NU_HTPASSWD_NAME_MAX && nu_http_value_ok(user->name));
    if (user->is_bcrypt)
        nu_assert(strlen(user->u.bcrypt) == NU_HTPASSWD_HASH_LEN && user->u.bcrypt[4] <= '1');
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nu_htpasswd *users;
    struct nu_htpasswd_fault fault;
    const char *at = (const char *)data, *end = at + len, *stop;
    size_t count = 0;
    if (nu_htpasswd_parse(at, len, &users, &fault) != NU_OK) {
        nu_assert(!users && fault.line > 0 && fault.what[0]);
        return 0;
    }
    for (; at < end; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        count += known(users, at, (size_t)(stop - at));
    }
    nu_assert(count == nu_htpasswd_count(users));
    nu_htpasswd_free(users);
    return 0;
}
