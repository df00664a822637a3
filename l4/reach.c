/* The networks that a client may not send us to; see reach.h. */
#include "l4/reach.h"

#include "core/assert.h"
#include "core/table/cidr.h"

#include <string.h>

#define NETS_MOST 16 /* of one word */

/* IANA's special-purpose registries (RFC 6890), and where clouds keep their secrets. What has the
 * same meaning to a server that trusts its neighbours has one word. */
static const struct {
    const char *word;
    const char *nets[NETS_MOST];
} words[] = {
  /* 0.0.0.0 and :: connect to this machine, too. */
    {"loopback",   {"127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128"}                            },
    {"private",
     {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"}},
    {"link_local", {"169.254.0.0/16", "fe80::/10"}                                              },
 /* AWS, GCP, Azure and others; ECS and EKS; Alibaba; Oracle; Azure's wire server; IPv6. */
    {"metadata",
     {"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "100.100.100.200/32",
      "192.0.0.192/32", "168.63.129.16/32", "fd00:ec2::254/128", "fd00:ec2::23/128",
      "fd20:ce::254/128"}                                                                       },
    {"multicast",  {"224.0.0.0/4", "ff00::/8"}                                                  },
    {"reserved",
     {"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
      "203.0.113.0/24", "240.0.0.0/4", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
      "3fff::/20", "5f00::/16"}                                                                 },
};
#define WORDS (sizeof words / sizeof *words)

/* Prefixes behind which an IPv4 address stands: NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible
 * (RFC 4291) and IPv4-translated (RFC 2765) ones. */
static const struct {
    const char *prefix;
    unsigned at; /* byte */
} embeds[] = {
    {"64:ff9b::/96",    12},
    {"2002::/16",       2 },
    {"::/96",           12},
    {"::ffff:0:0:0/96", 12},
};

#define EMBEDS (sizeof embeds / sizeof *embeds)

struct nu_reach {
    struct nu_cidr_table *table; /* -> a text: "" = allowed, else why not */
    struct nu_addr embed[EMBEDS];
};

static const char allowed[] = "";

enum nu_err nu_reach_parse(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                           void *out)
{
    struct nu_reach_item *item = out;
    const char *names[WORDS];
    const char *text = node->kind == NU_NODE_SCALAR ? node->text : "";
    item->word = -1;
    for (size_t i = 0; i < WORDS; i++) {
        names[i] = words[i].word;
        if (strcmp(text, words[i].word) == 0)
            item->word = (int)i;
    }
    if (item->word >= 0 || (*text && nu_addr_parse_cidr(&item->prefix, text) == NU_OK))
        return NU_OK;
    nu_conf_error(conf, node, "expected a network like 10.0.0.0/8, or one of " NU_REACH_WORDS);
    nu_conf_guess(conf, nu_did_you_mean(text, names, WORDS));
    return NU_ERR_CONFIG;
}

static void add_text(struct nu_cidr_table *table, const char *net, const char *value)
{
    struct nu_addr prefix;
    nu_assert(nu_addr_parse_cidr(&prefix, net) == NU_OK);
    nu_cidr_add(table, &prefix, (void *)value);
}

/* `value` NULL: what is in the list is denied by its word. */
static void add_list(struct nu_cidr_table *table, const struct nu_vec *list, const char *value)
{
    const struct nu_reach_item *item = list->items;
    for (size_t i = 0; i < list->count; i++) {
        if (item[i].word < 0)
            nu_cidr_add(table, &item[i].prefix, (void *)(value ? value : "denied"));
        for (size_t k = 0; item[i].word >= 0 && words[item[i].word].nets[k]; k++)
            add_text(table, words[item[i].word].nets[k], value ? value : words[item[i].word].word);
    }
}

struct nu_reach *nu_reach_new(struct nu_arena *arena, const struct nu_reach_conf *conf)
{
    struct nu_reach *reach = nu_arena_alloc(arena, sizeof *reach);
    reach->table = nu_cidr_new(arena);
    add_list(reach->table, &conf->allow, allowed);
    add_list(reach->table, &conf->deny, NULL);
    nu_cidr_seal(reach->table);
    for (size_t i = 0; i < EMBEDS; i++)
        nu_assert(nu_addr_parse_cidr(&reach->embed[i], embeds[i].prefix) == NU_OK);
    return reach;
}

static const char *look_up(const struct nu_reach *reach, const struct nu_addr *addr)
{
    struct nu_cidr_iter it;
    const char *found = nu_cidr_find(reach->table, addr, &it);
    return found && *found ? found : NULL;
}

/* The IPv4 address that an IPv6 one stands for. */
static bool embedded(const struct nu_reach *reach, const struct nu_addr *addr, struct nu_addr *out)
{
    static const uint8_t tiny[15];
    if (addr->kind != NU_ADDR_IP6 || memcmp(addr->ip, tiny, sizeof tiny) == 0)
        return false; /* :: and ::1 are what they are */
    for (size_t i = 0; i < EMBEDS; i++) {
        if (!nu_addr_in(addr, &reach->embed[i]))
            continue;
        *out = (struct nu_addr){.kind = NU_ADDR_IP4, .prefix = 32, .port = addr->port};
        memcpy(out->ip, addr->ip + embeds[i].at, 4);
        return true;
    }
    return false;
}

const char *nu_reach_denied(const struct nu_reach *reach, const struct nu_addr *addr)
{
    struct nu_addr inner;
    if (addr->kind != NU_ADDR_IP4 && addr->kind != NU_ADDR_IP6)
        return "no IP address";
    if (addr->port == 0)
        return "port 0";
    const char *why = look_up(reach, addr);
    if (!why && embedded(reach, addr, &inner))
        why = look_up(reach, &inner);
    return why;
}
