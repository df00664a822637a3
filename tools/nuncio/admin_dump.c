/* /config_dump: the config that serves, normalized as `nuncio check --print` has it, without what
 * may be secret. A generation keeps its file's bytes only, so the text is made anew, at the price
 * of half a reload. */
#include "tools/nuncio/admin_page.h"

#include "core/assert.h"
#include "tools/nuncio/root.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REDACTED "[redacted]"

struct dump_state {
    struct nu_arena *arena;
    const char *text;
    size_t len;
};

/* Whether what stands under the key is for those only who can read the file. Files of keys are
 * named in a config, never in it. */
static bool is_secret(const char *key)
{
    static const char *const ends[] = {"authorization", "cookie", "token",      "secret",
                                       "password",      "passwd", "passphrase", "api-key",
                                       "api_key",       "apikey", "users",      "credentials"};
    size_t len = strlen(key);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (len >= end && strcasecmp(key + len - end, ends[i]) == 0)
            return true;
    }
    return false;
}

static void redact(struct nu_node *node, bool secret)
{
    secret = secret || node->expanded || (node->key && is_secret(node->key));
    if (node->kind == NU_NODE_SCALAR && secret) {
        node->text = REDACTED;
        node->quoted = true;
    }
    for (uint32_t i = 0; node->kind != NU_NODE_SCALAR && i < node->count; i++)
        redact(node->child[i], secret);
}

static unsigned dump_begin(const struct nu_admin_request *request, void **state, FILE *out)
{
    const struct nu_generation *gen = request->server->now;
    if (!gen) {
        fputs("error: no config serves yet\n", out);
        return 503;
    }
    struct dump_state *s = calloc(1, sizeof *s);
    nu_assert(s != NULL);
    s->arena = nu_arena_new(4096);
    struct nu_conf *conf = nu_conf_from_text("config", gen->folder, gen->text, gen->text_len);
    nu_assert(nu_conf_root(conf) != NULL); /* it was, when it was loaded */
    struct nu_node *root = nu_root_normalize(conf, s->arena);
    redact(root, false);
    s->text = nu_node_print(s->arena, root);
    s->len = strlen(s->text);
    nu_conf_free(conf);
    *state = s;
    return 200;
}

static bool dump_more(void *state, FILE *out)
{
    struct dump_state *s = state;
    size_t piece = s->len < NU_ADMIN_PIECE ? s->len : NU_ADMIN_PIECE;
    fwrite(s->text, 1, piece, out);
    s->text += piece;
    s->len -= piece;
    return s->len > 0;
}

static void dump_end(void *state)
{
    struct dump_state *s = state;
    nu_arena_free(s->arena);
    free(s);
}

static const struct nu_admin_source source = {dump_begin, dump_more, dump_end};

const struct nu_admin_page nu_page_config_dump = {
    .path = "/config_dump",
    .params = "",
    .doc = "the config that serves, with defaults, without secrets (YAML)",
    .source = &source,
};
