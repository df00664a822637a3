/* Facts: names of their values, and copies that outlive the chain that wrote them; see facts.h. */
#include "core/facts.h"

#include "core/arena.h"
#include "core/assert.h"

#include <stdatomic.h>

const char *nu_transport_str(enum nu_transport transport)
{
    static const char *const names[] = {"unknown", "plain", "tls"};
    nu_assert((unsigned)transport < sizeof names / sizeof *names);
    return names[transport];
}

const struct nu_facts_exchange *nu_facts_exchange(const struct nu_facts *facts)
{
    static const struct nu_facts_exchange nothing;
    return facts->exchange ? facts->exchange : &nothing;
}

static atomic_uint wanted;

void nu_facts_want(unsigned bits)
{
    atomic_fetch_or_explicit(&wanted, bits, memory_order_relaxed);
}

bool nu_facts_wanted(unsigned bit)
{
    return atomic_load_explicit(&wanted, memory_order_relaxed) & bit;
}

static const char *copy(struct nu_arena *arena, const char *text)
{
    return text ? nu_arena_strdup(arena, text) : NULL;
}

static const struct nu_tls_peer *copy_peer(const struct nu_tls_peer *from, struct nu_arena *arena)
{
    if (!from)
        return NULL;
    struct nu_tls_peer *peer = nu_arena_alloc(arena, sizeof *peer);
    *peer = *from;
    const char **text[] = {&peer->subject, &peer->issuer,   &peer->serial, &peer->sha256,
                           &peer->dns,     &peer->uri,      &peer->email,  &peer->ip,
                           &peer->pem,     &peer->chain_pem};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        *text[i] = copy(arena, *text[i]);
    return peer;
}

struct nu_tls_facts *nu_tls_facts_copy(const struct nu_tls_facts *from, struct nu_arena *arena)
{
    struct nu_tls_facts *facts = nu_arena_alloc(arena, sizeof *facts);
    *facts = *from;
    facts->alpn = copy(arena, from->alpn);
    facts->sni = copy(arena, from->sni);
    facts->session_id = copy(arena, from->session_id);
    facts->peer = copy_peer(from->peer, arena);
    facts->local = copy_peer(from->local, arena);
    return facts;
}
