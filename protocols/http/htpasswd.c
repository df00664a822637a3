/* Password files; see htpasswd.h. Comparing takes the same time wherever two hashes differ. */
#include "protocols/http/htpasswd.h"

#include "core/arena.h"
#include "core/assert.h"
#include "core/table/strmap.h"
#include "protocols/http/basic.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COST_MIN 4 /* of bcrypt itself */

struct nu_htpasswd {
    struct nu_arena *arena;
    struct nu_strmap *by_name;
    const char *costliest;
    int cost; /* of that */
};

/* --- reading --- */

/* NULL, or why. */
static const char *read_sha1(struct nu_text hash, struct nu_htpasswd_user *out)
{
    int len = nu_base64_decode(hash, out->u.sha1, sizeof out->u.sha1);
    return len == (int)sizeof out->u.sha1 ? NULL : "{SHA} is not followed by base64 of 20 bytes";
}

static bool is_bcrypt_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '.' && c <= '9');
}

static int cost_of(const char *hash)
{
    return (hash[4] - '0') * 10 + hash[5] - '0';
}

static bool is_bcrypt(struct nu_text hash)
{
    if (hash.len != NU_HTPASSWD_HASH_LEN || memcmp(hash.at, "$2", 2) != 0 ||
        !memchr("aby", hash.at[2], 3) || hash.at[3] != '$' || hash.at[6] != '$')
        return false;
    for (size_t i = 4; i < hash.len; i++)
        if (i != 6 && (i < 6 ? hash.at[i] < '0' || hash.at[i] > '9' : !is_bcrypt_char(hash.at[i])))
            return false;
    return true;
}

static const char *read_bcrypt(struct nu_text hash, struct nu_htpasswd_user *out)
{
    if (!is_bcrypt(hash))
        return "the hash is neither bcrypt nor {SHA}: make one with htpasswd -B";
    if (cost_of(hash.at) < COST_MIN)
        return "bcrypt has no cost below 4";
    if (cost_of(hash.at) > NU_HTPASSWD_COST_MAX)
        return "a bcrypt cost over 14 would take seconds for each login";
    memcpy(out->u.bcrypt, hash.at, hash.len);
    out->is_bcrypt = true;
    return NULL;
}

static const char *read_name(struct nu_text name)
{
    if (name.len == 0)
        return "there is no name before the colon";
    if (name.len > NU_HTPASSWD_NAME_MAX)
        return "the name is longer than 255 bytes";
    return nu_http_value_ok(name) ? NULL : "the name has control characters, or blanks at its ends";
}

static const char *read_user(struct nu_text line, struct nu_htpasswd_user *out)
{
    static const char sha[] = "{SHA}";
    const char *colon = memchr(line.at, ':', line.len);
    *out = (struct nu_htpasswd_user){.is_bcrypt = false};
    if (!colon)
        return "expected \"name:hash\"";
    out->name = nu_text(line.at, (size_t)(colon - line.at));
    struct nu_text hash = nu_text(colon + 1, line.len - out->name.len - 1);
    const char *why = read_name(out->name);
    if (why)
        return why;
    if (hash.len > sizeof sha - 1 && memcmp(hash.at, sha, sizeof sha - 1) == 0)
        return read_sha1(nu_text(hash.at + sizeof sha - 1, hash.len - sizeof sha + 1), out);
    return read_bcrypt(hash, out);
}

static void add(struct nu_htpasswd *users, const struct nu_htpasswd_user *user)
{
    struct nu_htpasswd_user *own = nu_arena_alloc(users->arena, sizeof *own);
    *own = *user;
    own->name.at = nu_arena_strndup(users->arena, user->name.at, user->name.len);
    nu_strmap_put(users->by_name, own->name.at, own->name.len, own);
    if (own->is_bcrypt && cost_of(own->u.bcrypt) > users->cost) {
        users->costliest = own->u.bcrypt;
        users->cost = cost_of(own->u.bcrypt);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes a line off the text, without blanks at its end. */
static struct nu_text next_line(struct nu_text *rest)
{
    const char *end = memchr(rest->at, '\n', rest->len);
    struct nu_text line = nu_text(rest->at, end ? (size_t)(end - rest->at) : rest->len);
    size_t taken = line.len + (end != NULL);
    *rest = nu_text(rest->at + taken, rest->len - taken);
    while (line.len > 0 && is_blank(line.at[line.len - 1]))
        line.len--;
    return line;
}

static struct nu_htpasswd *users_new(void)
{
    struct nu_htpasswd *users = calloc(1, sizeof *users);
    nu_assert(users != NULL);
    users->arena = nu_arena_new(1024);
    users->by_name = nu_strmap_new(users->arena, NU_STRMAP_EXACT);
    return users;
}

enum nu_err nu_htpasswd_parse(const char *text, size_t len, struct nu_htpasswd **out,
                              struct nu_htpasswd_fault *fault)
{
    struct nu_htpasswd *users = users_new();
    struct nu_text rest = nu_text(text, len);
    *fault = (struct nu_htpasswd_fault){0};
    *out = NULL;
    while (rest.len > 0) {
        struct nu_htpasswd_user user;
        struct nu_text line = next_line(&rest);
        fault->line++;
        if (line.len == 0 || line.at[0] == '#')
            continue;
        const char *why = read_user(line, &user);
        if (!why && nu_htpasswd_find(users, user.name))
            why = "that name has been there before";
        if (why) {
            snprintf(fault->what, sizeof fault->what, "%s", why);
            nu_htpasswd_free(users);
            return NU_ERR_SYNTAX;
        }
        add(users, &user);
    }
    *out = users;
    return NU_OK;
}

void nu_htpasswd_free(struct nu_htpasswd *users)
{
    if (!users)
        return;
    nu_arena_free(users->arena);
    free(users);
}

/* --- looking --- */

size_t nu_htpasswd_count(const struct nu_htpasswd *users)
{
    return nu_strmap_count(users->by_name);
}

const struct nu_htpasswd_user *nu_htpasswd_find(const struct nu_htpasswd *users,
                                                struct nu_text name)
{
    return nu_strmap_get(users->by_name, name.at, name.len);
}

const char *nu_htpasswd_costliest(const struct nu_htpasswd *users)
{
    return users->costliest;
}

bool nu_htpasswd_is_sha1(const struct nu_htpasswd_user *user, struct nu_text password)
{
    uint8_t hash[20];
    SHA1((const uint8_t *)password.at, password.len, hash);
    return CRYPTO_memcmp(hash, user->u.sha1, sizeof hash) == 0;
}

bool nu_htpasswd_is_bcrypt(const char *hash, const char *password)
{
    struct crypt_data *data = calloc(1, sizeof *data); /* 32 KiB */
    nu_assert(data != NULL);
    const char *made = crypt_r(password, hash, data);
    bool same = made && strlen(made) == NU_HTPASSWD_HASH_LEN &&
                CRYPTO_memcmp(made, hash, NU_HTPASSWD_HASH_LEN) == 0;
    explicit_bzero(data, sizeof *data);
    free(data);
    return same;
}
