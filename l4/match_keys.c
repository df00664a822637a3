/* The nine levels of a match, one table kind each; see match_priv.h. */
#include "l4/match_priv.h"

#include "core/assert.h"
#include "core/table/hash.h"

#include <stdio.h>
#include <string.h>

static void key_set(struct match_key *key, const void *bytes, size_t len)
{
    nu_assert(len <= sizeof key->bytes);
    memcpy(key->bytes, bytes, len);
    key->len = len;
}

static void text_as_is(const struct match_key *key, char *buf, size_t size)
{
    snprintf(buf, size, "%.*s", (int)key->len, key->bytes);
}

static void *make_map(struct nu_arena *arena)
{
    return nu_strmap_new(arena, NU_STRMAP_EXACT);
}

static void add_map(void *keys, const struct match_key *key, void *child)
{
    nu_strmap_put(keys, key->bytes, key->len, child);
}

/* --- ports --- */

static void port_key(const struct nu_vec *ports, size_t i, struct match_key *out)
{
    uint16_t port = (uint16_t)((const int64_t *)ports->items)[i];
    key_set(out, &port, sizeof port);
}

static void port_text(const struct match_key *key, char *buf, size_t size)
{
    uint16_t port;
    memcpy(&port, key->bytes, sizeof port);
    snprintf(buf, size, "%u", port);
}

static void *port_next(const void *keys, uint16_t port, struct match_walk *walk)
{
    if (walk->started)
        return NULL;
    walk->started = true;
    return nu_strmap_get(keys, (const char *)&port, sizeof port);
}

static size_t destination_port_count(const struct nu_match_rule *rule)
{
    return rule->destination_port.count;
}

static void destination_port_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    port_key(&rule->destination_port, i, out);
}

static void *destination_port_next(const void *keys, const struct nu_match_input *in,
                                   struct match_walk *walk)
{
    return port_next(keys, in->local->port, walk);
}

static size_t source_port_count(const struct nu_match_rule *rule)
{
    return rule->source_port.count;
}

static void source_port_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    port_key(&rule->source_port, i, out);
}

static void *source_port_next(const void *keys, const struct nu_match_input *in,
                              struct match_walk *walk)
{
    return port_next(keys, in->client->port, walk);
}

/* --- addresses --- */

/* A prefix without what does not matter in it. */
static void prefix_key(const struct nu_vec *prefixes, size_t i, struct match_key *out)
{
    const struct nu_addr *from = (const struct nu_addr *)prefixes->items + i;
    struct nu_addr bare = {.kind = from->kind, .prefix = from->prefix};
    memcpy(bare.ip, from->ip, from->kind == NU_ADDR_IP4 ? 4 : 16);
    key_set(out, &bare, sizeof bare);
}

static struct nu_addr prefix_of(const struct match_key *key)
{
    struct nu_addr prefix;
    memcpy(&prefix, key->bytes, sizeof prefix);
    return prefix;
}

static void prefix_text(const struct match_key *key, char *buf, size_t size)
{
    char ip[NU_ADDR_TEXT_MAX];
    struct nu_addr prefix = prefix_of(key);
    snprintf(buf, size, "%s/%u", nu_addr_str_ip(&prefix, ip), prefix.prefix);
}

static void *make_cidr(struct nu_arena *arena)
{
    return nu_cidr_new(arena);
}

static void add_cidr(void *keys, const struct match_key *key, void *child)
{
    struct nu_addr prefix = prefix_of(key);
    nu_cidr_add(keys, &prefix, child);
}

static void seal_cidr(void *keys)
{
    nu_cidr_seal(keys);
}

static void *prefix_next(const void *keys, const struct nu_addr *addr, struct match_walk *walk)
{
    if (walk->started)
        return nu_cidr_next(&walk->cidr);
    walk->started = true;
    return nu_cidr_find(keys, addr, &walk->cidr);
}

static size_t destination_count(const struct nu_match_rule *rule)
{
    return rule->destination.count;
}

static void destination_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    prefix_key(&rule->destination, i, out);
}

static void *destination_next(const void *keys, const struct nu_match_input *in,
                              struct match_walk *walk)
{
    return prefix_next(keys, in->local, walk);
}

static size_t source_count(const struct nu_match_rule *rule)
{
    return rule->source.count;
}

static void source_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    prefix_key(&rule->source, i, out);
}

static void *source_next(const void *keys, const struct nu_match_input *in, struct match_walk *walk)
{
    return prefix_next(keys, in->client, walk);
}

/* --- fingerprints of the ClientHello --- */

static void text_key(const struct nu_vec *texts, size_t i, struct match_key *out)
{
    const char *text = ((const char *const *)texts->items)[i];
    key_set(out, text, strlen(text));
}

static void *text_next(const void *keys, const char *text, struct match_walk *walk)
{
    if (walk->started || !text)
        return NULL;
    walk->started = true;
    return nu_strmap_get(keys, text, strlen(text));
}

static size_t ja3_count(const struct nu_match_rule *rule)
{
    return rule->ja3.count;
}

static void ja3_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    text_key(&rule->ja3, i, out);
}

static void *ja3_next(const void *keys, const struct nu_match_input *in, struct match_walk *walk)
{
    return text_next(keys, in->ja3, walk);
}

static size_t ja4_count(const struct nu_match_rule *rule)
{
    return rule->ja4.count;
}

static void ja4_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    text_key(&rule->ja4, i, out);
}

static void *ja4_next(const void *keys, const struct nu_match_input *in, struct match_walk *walk)
{
    return text_next(keys, in->ja4, walk);
}

uint8_t nu_match_wants(const struct nu_match_rule *rule)
{
    return (uint8_t)((rule->ja3.count ? NU_WANT_JA3 : 0) | (rule->ja4.count ? NU_WANT_JA4 : 0));
}

/* --- SNI --- */

static size_t sni_count(const struct nu_match_rule *rule)
{
    return rule->sni.count;
}

static void sni_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    const char *pattern = ((const char *const *)rule->sni.items)[i];
    size_t len = strlen(pattern);
    if (len && pattern[len - 1] == '.')
        len--;
    key_set(out, pattern, len);
    for (size_t k = 0; k < len; k++)
        out->bytes[k] = (char)nu_fold((uint8_t)out->bytes[k]);
}

static void *make_domain(struct nu_arena *arena)
{
    return nu_domain_new(arena);
}

static void add_domain(void *keys, const struct match_key *key, void *child)
{
    const char *reason;
    enum nu_err err = nu_domain_add(keys, key->bytes, key->len, child, &reason);
    nu_assert(err == NU_OK); /* patterns were checked, equal ones are told apart before */
}

static void *sni_next(const void *keys, const struct nu_match_input *in, struct match_walk *walk)
{
    if (walk->started)
        return nu_domain_next(&walk->domain);
    walk->started = true;
    if (in->sni.len == 0)
        return NULL;
    return nu_domain_find(keys, in->sni.text, in->sni.len, &walk->domain);
}

/* --- transport --- */

#define TRANSPORTS 3

static size_t transport_count(const struct nu_match_rule *rule)
{
    return rule->transport != NU_TRANSPORT_UNKNOWN;
}

static void transport_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    out->len = 1;
    out->bytes[0] = (char)rule->transport;
}

static void transport_text(const struct match_key *key, char *buf, size_t size)
{
    snprintf(buf, size, "%s", nu_transport_str((enum nu_transport)key->bytes[0]));
}

static void *make_slots(struct nu_arena *arena)
{
    return nu_arena_alloc(arena, TRANSPORTS * sizeof(void *));
}

static void add_slot(void *keys, const struct match_key *key, void *child)
{
    ((void **)keys)[(uint8_t)key->bytes[0]] = child;
}

static void *transport_next(const void *keys, const struct nu_match_input *in,
                            struct match_walk *walk)
{
    if (walk->started)
        return NULL;
    walk->started = true;
    return ((void *const *)keys)[in->transport];
}

/* --- ALPN --- */

static size_t alpn_count(const struct nu_match_rule *rule)
{
    return rule->alpn.count;
}

static void alpn_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    text_key(&rule->alpn, i, out);
}

static void *alpn_next(const void *keys, const struct nu_match_input *in, struct match_walk *walk)
{
    while (walk->at < in->alpn_count) {
        const struct nu_match_name *name = &in->alpn[walk->at++];
        void *child = nu_strmap_get(keys, name->text, name->len);
        if (child)
            return child;
    }
    return NULL;
}

/* --- whether anything must be sniffed --- */

size_t match_sniffed_count(const struct nu_match_rule *rule)
{
    return rule->sni.count || rule->alpn.count || rule->transport != NU_TRANSPORT_UNKNOWN ||
           nu_match_wants(rule);
}

static void sniffed_key(const struct nu_match_rule *rule, size_t i, struct match_key *out)
{
    out->len = 1;
    out->bytes[0] = NU_TRANSPORT_UNKNOWN; /* that is how a connection comes */
}

#define DESTINATION_PORT                                                                           \
    {                                                                                              \
        "destination_port", destination_port_count, destination_port_key, port_text, make_map,     \
            add_map, destination_port_next, NULL                                                   \
    }
#define DESTINATION                                                                                \
    {                                                                                              \
        "destination", destination_count, destination_key, prefix_text, make_cidr, add_cidr,       \
            destination_next, seal_cidr                                                            \
    }
#define SOURCE                                                                                     \
    {                                                                                              \
        "source", source_count, source_key, prefix_text, make_cidr, add_cidr, source_next,         \
            seal_cidr                                                                              \
    }
#define SOURCE_PORT                                                                                \
    {                                                                                              \
        "source_port", source_port_count, source_port_key, port_text, make_map, add_map,           \
            source_port_next, NULL                                                                 \
    }

const struct match_level match_levels[MATCH_LEVELS] = {
    DESTINATION_PORT,
    DESTINATION,
    {"ja4",       ja4_count,       ja4_key,       text_as_is,     make_map,    add_map,    ja4_next,  NULL},
    {"ja3",       ja3_count,       ja3_key,       text_as_is,     make_map,    add_map,    ja3_next,  NULL},
    {"sni",       sni_count,       sni_key,       text_as_is,     make_domain, add_domain, sni_next,  NULL},
    {"transport", transport_count, transport_key, transport_text, make_slots,  add_slot,
      transport_next,                                                                                  NULL},
    {"alpn",      alpn_count,      alpn_key,      text_as_is,     make_map,    add_map,    alpn_next, NULL},
    SOURCE,
    SOURCE_PORT,
};

const struct match_level match_sniff_levels[MATCH_SNIFF_LEVELS] = {
    DESTINATION_PORT,
    DESTINATION,
    {"sniffed", match_sniffed_count, sniffed_key, text_as_is, make_slots, add_slot, transport_next,
      NULL},
    SOURCE,
    SOURCE_PORT,
};
