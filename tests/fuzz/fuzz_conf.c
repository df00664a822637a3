/* Any bytes as a config: reading, schema, report. What was accepted must print to a text that is
 * accepted again and prints the same, as it was and in its normal form. */
#include "core/assert.h"
#include "tests/unit/core/conf/sample.h"

#include <stdlib.h>

#define DEEP 56 /* levels; wrapping bare values in lists may carry what is deeper past the cap */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned depth(const struct nu_node *node)
{
    unsigned most = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        nu_assert(node->child[i]->parent == node);
        unsigned d = depth(node->child[i]);
        most = d > most ? d : most;
    }
    return most + 1;
}

static enum nu_err parse(struct nu_conf *conf, struct nu_arena *arena)
{
    struct sample s = {0};
    return nu_schema_parse(&sample_schema, conf, arena, nu_conf_root(conf), &s);
}

static struct nu_conf *again(const char *text)
{
    struct nu_conf *conf = nu_conf_from_text("again", "/", text, strlen(text));
    nu_assert(!nu_conf_failed(conf));
    return conf;
}

static void check_print(const struct nu_node *root, struct nu_arena *arena)
{
    char *once = nu_node_print(arena, root);
    struct nu_conf *conf = again(once);
    nu_assert(strcmp(once, nu_node_print(arena, nu_conf_root(conf))) == 0);
    nu_conf_free(conf);
}

static void check_normal(struct nu_conf *conf, struct nu_arena *arena)
{
    char *once = nu_schema_print(&sample_schema, conf, arena, nu_conf_root(conf));
    struct nu_conf *second = again(once);
    nu_assert(parse(second, arena) == NU_OK);
    nu_assert(strcmp(once, nu_schema_print(&sample_schema, second, arena, nu_conf_root(second))) ==
              0);
    nu_conf_free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    setenv("NU_FUZZ", "$${x: '1 #", 1);
    unsetenv("NU_NONE");
    struct nu_conf *conf = nu_conf_from_text("fuzz", "/", (const char *)data, size);
    struct nu_arena *arena = nu_arena_new(4096);
    const struct nu_node *root = nu_conf_root(conf);
    bool fine = root && !nu_conf_failed(conf), shallow = root && depth(root) <= DEEP;
    if (fine && shallow && !nu_node_is_null(root))
        check_print(root, arena);
    enum nu_err err = root ? parse(conf, arena) : NU_ERR_CONFIG;
    nu_assert(err == NU_OK || nu_conf_failed(conf));
    nu_assert((*nu_conf_report(conf) != 0) == nu_conf_failed(conf));
    if (!nu_conf_failed(conf) && shallow)
        check_normal(conf, arena);
    nu_arena_free(arena);
    nu_conf_free(conf);
    return 0;
}
