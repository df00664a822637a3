/* Names of secrets; see secret.h. */
#include "protocols/http/secret.h"

#include <strings.h>

const char *nu_http_secret_str(enum nu_http_secret secret)
{
    static const char *const names[] = {"none",    "value",      "credentials",
                                        "cookies", "set-cookie", "url"};
    return (unsigned)secret < sizeof names / sizeof *names ? names[secret] : "?";
}

static bool ends_with(struct nu_text name, const char *with)
{
    size_t len = strlen(with);
    return name.len >= len && strncasecmp(name.at + name.len - len, with, len) == 0;
}

static bool contains(struct nu_text name, const char *what)
{
    size_t len = strlen(what);
    for (size_t i = 0; i + len <= name.len; i++)
        if (strncasecmp(name.at + i, what, len) == 0)
            return true;
    return false;
}

static bool is_one_of(struct nu_text name, const char *const *names)
{
    for (; *names; names++)
        if (strlen(*names) == name.len && ends_with(name, *names))
            return true;
    return false;
}

/* Of fields and of parameters alike: "X-Api-Key", "api_key". */
static bool says_secret(struct nu_text name)
{
    static const char *const parts[] = {"secret",  "passw",      "apikey",     "api-key",
                                        "api_key", "access-key", "access_key", "jwt"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (contains(name, parts[i]))
            return true;
    return ends_with(name, "token") || ends_with(name, "signature");
}

bool nu_http_secret_parameter(struct nu_text name)
{
    static const char *const names[] = {
        "auth", "authorization", "assertion", "code",       "key",        "pass", "pwd",
        "sid",  "sig",           "sessionid", "session_id", "jsessionid", NULL};
    return is_one_of(name, names) || says_secret(name);
}

bool nu_http_secret_member(struct nu_text name)
{
    static const char *const names[] = {"authorization", "pass", "pwd", NULL};
    return is_one_of(name, names) || says_secret(name);
}

enum nu_http_secret nu_http_secret_field(struct nu_text name)
{
    static const char *const cookies[] = {"cookie", NULL};
    static const char *const set_cookies[] = {"set-cookie", NULL};
    static const char *const urls[] = {"referer", "location", "content-location", NULL};
    static const char *const keys[] = {"x-functions-key",
                                       "ocp-apim-subscription-key",
                                       "x-auth-key",
                                       "x-session-id",
                                       "x-auth",
                                       "php-auth-pw",
                                       NULL};
    if (is_one_of(name, cookies))
        return NU_HTTP_SECRET_COOKIES;
    if (is_one_of(name, set_cookies))
        return NU_HTTP_SECRET_SET_COOKIE;
    if (ends_with(name, "authorization"))
        return NU_HTTP_SECRET_CREDENTIALS;
    if (is_one_of(name, urls))
        return NU_HTTP_SECRET_URL;
    return is_one_of(name, keys) || says_secret(name) ? NU_HTTP_SECRET_VALUE : NU_HTTP_SECRET_NONE;
}
