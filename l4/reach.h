/* Where a cluster may go whose servers a client chooses (original_dst, dynamic_forward): lists of
 * networks, with words for the kinds of them that are no public hosts.
 *
 * The longest prefix wins; where both lists have it, `allow`. IPv6 addresses that stand for an IPv4
 * one (NAT64, 6to4, IPv4-compatible) are judged by both. Built on the main thread, read by any. */
#ifndef NU_L4_REACH_H
#define NU_L4_REACH_H

#include "core/addr.h"
#include "core/conf/schema.h"

/* An item of a list: a word or a prefix. */
struct nu_reach_item {
    int word; /* index, or -1 */
    struct nu_addr prefix;
};

struct nu_reach_conf {
    struct nu_vec allow, deny; /* struct nu_reach_item */
};

/* Parses one struct nu_reach_item. */
nu_parse_fn nu_reach_parse;

#define NU_REACH_WORDS "loopback, private, link_local, metadata, multicast and reserved"
/* All of them, as a default of `deny`. */
#define NU_REACH_ALL "[loopback, private, link_local, metadata, multicast, reserved]"

/* Rows for a schema whose struct has a struct nu_reach_conf at `member_`. */
#define NU_REACH_FIELDS(type_, member_, deny_default_)                                             \
    {.key = "allow",                                                                               \
     .type = NU_CUSTOM,                                                                            \
     .flags = NU_LIST,                                                                             \
     .offset = offsetof(type_, member_.allow),                                                     \
     .parse = nu_reach_parse,                                                                      \
     .shown = "networks",                                                                          \
     .item = sizeof(struct nu_reach_item),                                                         \
     .doc = "Networks that may be reached although `deny` has a larger one that they are in; the " \
            "same words and prefixes."},                                                           \
    {                                                                                              \
        .key = "deny", .type = NU_CUSTOM, .flags = NU_LIST,                                        \
        .offset = offsetof(type_, member_.deny), .fallback = (deny_default_),                      \
        .parse = nu_reach_parse, .shown = "networks", .item = sizeof(struct nu_reach_item),        \
        .doc = "Networks that are not reached: prefixes like 10.0.0.0/8, or `loopback`, "          \
               "`private`, `link_local`, `metadata` (of clouds), `multicast`, `reserved`."         \
    }

struct nu_reach;

/* Lives with the arena. */
struct nu_reach *nu_reach_new(struct nu_arena *arena, const struct nu_reach_conf *conf);
/* NULL: it may be reached. Else what forbids it: a word or "denied"; static. Whatever the lists
 * say, port 0 is no place to go to, nor is what is no IP address. */
const char *nu_reach_denied(const struct nu_reach *reach, const struct nu_addr *addr);

#endif
