/* Access log operators of a connection: Envoy's names where Envoy has one. The subject is a struct
 * nu_chain that has ended; facts it lacks are absent ("-", null). Workers, once a connection. */
#include "core/logfmt.h"
#include "core/logtime.h"
#include "l4/access_log.h"
#include "l4/sock.h"
#include "l4/tcp_facts.h"

#include <string.h>
#include <unistd.h>

#define OP_ARGS struct nu_logbuf *out, const void *subject, const void *arg

/* Accessors make what is missing, so they want the chain writable. */
static struct nu_chain *chain_of(const void *subject)
{
    return (struct nu_chain *)subject;
}

static const struct nu_facts *facts_of(const void *subject)
{
    return nu_chain_facts(chain_of(subject));
}

static const struct nu_facts_exchange *exchange_of(const void *subject)
{
    return nu_facts_exchange(facts_of(subject));
}

static const struct nu_cause_row *cause_of(const void *subject)
{
    return nu_cause_row((enum nu_cause)nu_chain_result(chain_of(subject)).cause);
}

static bool put_text(struct nu_logbuf *out, const char *text)
{
    if (!text || !*text)
        return false;
    nu_logbuf_str(out, text);
    return true;
}

static bool put_addr(struct nu_logbuf *out, const struct nu_addr *addr, bool port)
{
    if (!addr || addr->kind == NU_ADDR_NONE)
        return false;
    nu_logbuf_addr(out, addr, port);
    return true;
}

static bool put_port(struct nu_logbuf *out, uint16_t port)
{
    nu_logbuf_u64(out, port);
    return port != 0;
}

/* --- time and size --- */

static bool start_time(OP_ARGS)
{
    nu_logbuf_time(out, arg, facts_of(subject)->start_us * 1000);
    return true;
}

static bool duration(OP_ARGS)
{
    nu_logbuf_i64(out, nu_chain_loop(chain_of(subject))->now_ms - facts_of(subject)->start_ms);
    return true;
}

static bool bytes_received(OP_ARGS)
{
    uint64_t in, out_bytes;
    if (!nu_sock_totals(chain_of(subject), &in, &out_bytes))
        in = exchange_of(subject)->bytes_in;
    nu_logbuf_u64(out, in);
    return true;
}

static bool bytes_sent(OP_ARGS)
{
    uint64_t in, out_bytes;
    if (!nu_sock_totals(chain_of(subject), &in, &out_bytes))
        out_bytes = exchange_of(subject)->bytes_out;
    nu_logbuf_u64(out, out_bytes);
    return true;
}

static bool connect_ms(OP_ARGS)
{
    uint32_t ms = exchange_of(subject)->connect_ms;
    nu_logbuf_u64(out, ms ? ms - 1 : 0);
    return ms != 0;
}

/* --- who --- */

static bool remote(OP_ARGS)
{
    return put_addr(out, &facts_of(subject)->client, true);
}

static bool remote_ip(OP_ARGS)
{
    return put_addr(out, &facts_of(subject)->client, false);
}

static bool remote_port(OP_ARGS)
{
    return put_port(out, facts_of(subject)->client.port);
}

/* The socket's peer: the client itself where no PROXY header named another. */
static const struct nu_addr *direct_of(const void *subject)
{
    const struct nu_facts *facts = facts_of(subject);
    bool proxied = facts->more && facts->more->direct.kind != NU_ADDR_NONE;
    return proxied ? &facts->more->direct : &facts->client;
}

static bool direct(OP_ARGS)
{
    return put_addr(out, direct_of(subject), true);
}

static bool direct_ip(OP_ARGS)
{
    return put_addr(out, direct_of(subject), false);
}

static bool direct_port(OP_ARGS)
{
    return put_port(out, direct_of(subject)->port);
}

static bool local(OP_ARGS)
{
    return put_addr(out, &facts_of(subject)->local, true);
}

static bool local_ip(OP_ARGS)
{
    return put_addr(out, &facts_of(subject)->local, false);
}

static bool local_port(OP_ARGS)
{
    return put_port(out, facts_of(subject)->local.port);
}

/* The socket's own: the client called that where neither a PROXY header nor a rule of this machine
 * says otherwise. */
static const struct nu_addr *direct_local_of(const void *subject)
{
    const struct nu_facts *facts = facts_of(subject);
    bool other = facts->more && facts->more->direct_local.kind != NU_ADDR_NONE;
    return other ? &facts->more->direct_local : &facts->local;
}

static bool direct_local(OP_ARGS)
{
    return put_addr(out, direct_local_of(subject), true);
}

static bool direct_local_ip(OP_ARGS)
{
    return put_addr(out, direct_local_of(subject), false);
}

static bool direct_local_port(OP_ARGS)
{
    return put_port(out, direct_local_of(subject)->port);
}

static bool server_name(OP_ARGS)
{
    const struct nu_facts_more *more = facts_of(subject)->more;
    return put_text(out, more ? more->sni : NULL);
}

static bool alpn(OP_ARGS)
{
    const struct nu_facts_more *more = facts_of(subject)->more;
    return put_text(out, more ? more->alpn : NULL);
}

static bool transport(OP_ARGS)
{
    const struct nu_facts_more *more = facts_of(subject)->more;
    bool known = more && more->transport != NU_TRANSPORT_UNKNOWN;
    return known && put_text(out, nu_transport_str((enum nu_transport)more->transport));
}

static bool connection_id(OP_ARGS)
{
    nu_logbuf_u64(out, facts_of(subject)->id);
    return true;
}

static bool hostname(OP_ARGS)
{
    return put_text(out, arg);
}

static enum nu_err hostname_prepare(struct nu_arena *arena, const char *arg, const void **out,
                                    const char **error)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    *out = nu_arena_strdup(arena, name);
    return NU_OK;
}

/* --- where to --- */

static bool listener(OP_ARGS)
{
    return put_text(out, facts_of(subject)->listener);
}

static bool chain_name(OP_ARGS)
{
    return put_text(out, facts_of(subject)->chain);
}

static bool cluster(OP_ARGS)
{
    return put_text(out, exchange_of(subject)->cluster);
}

static bool upstream(OP_ARGS)
{
    return put_addr(out, exchange_of(subject)->upstream, true);
}

static bool upstream_ip(OP_ARGS)
{
    return put_addr(out, exchange_of(subject)->upstream, false);
}

static bool upstream_port(OP_ARGS)
{
    const struct nu_addr *addr = exchange_of(subject)->upstream;
    return put_port(out, addr ? addr->port : 0);
}

static bool attempts(OP_ARGS)
{
    nu_logbuf_u64(out, exchange_of(subject)->attempts);
    return true;
}

/* --- how it ended --- */

static bool flags(OP_ARGS)
{
    const char *flag = cause_of(subject)->flag;
    return strcmp(flag, "-") != 0 && put_text(out, flag);
}

static bool cause(OP_ARGS)
{
    return put_text(out, cause_of(subject)->name);
}

static bool closed_by(OP_ARGS)
{
    struct nu_result result = nu_chain_result(chain_of(subject));
    return result.side != NU_SIDE_NONE && put_text(out, nu_side_str((enum nu_side)result.side));
}

static bool close_how(OP_ARGS)
{
    return put_text(out, nu_how_str((enum nu_how)nu_chain_result(chain_of(subject)).how));
}

static bool close_layer(OP_ARGS)
{
    const char *blamed = nu_chain_blamed(chain_of(subject));
    return put_text(out, *blamed ? blamed : "sock");
}

/* The connection's own words, else those of the server's side that broke. */
static const char *details_of(const void *subject)
{
    struct nu_chain *chain = chain_of(subject);
    const char *own = nu_chain_details(chain);
    const struct nu_facts_more *more = nu_chain_facts(chain)->more;
    return !*own && more && more->upstream_failure ? more->upstream_failure : own;
}

static bool close_details(OP_ARGS)
{
    return put_text(out, details_of(subject));
}

/* "cause: details", or what there is of it. */
static bool termination(OP_ARGS)
{
    const char *details = details_of(subject);
    if (!put_text(out, cause_of(subject)->name))
        return false;
    if (*details) {
        nu_logbuf_str(out, ": ");
        nu_logbuf_str(out, details);
    }
    return true;
}

/* --- HTTP's --- */

static bool absent(OP_ARGS)
{
    return false;
}

static bool zero(OP_ARGS)
{
    nu_logbuf_u64(out, 0);
    return true;
}

#define TEXT(name, write, doc)                                                                     \
    {                                                                                              \
        name, doc, NU_LOG_TEXT, NU_LOG_ARG_NONE, NULL, write                                       \
    }
#define NUMBER(name, write, doc)                                                                   \
    {                                                                                              \
        name, doc, NU_LOG_NUMBER, NU_LOG_ARG_NONE, NULL, write                                     \
    }
#define WITH_ARG(name, doc)                                                                        \
    {                                                                                              \
        name, doc, NU_LOG_TEXT, NU_LOG_ARG_REQUIRED, NULL, absent                                  \
    }
#define HTTP_ONLY "Of HTTP; a TCP connection has none."

static const struct nu_log_op ops[] = {
    {"START_TIME", "When the connection was accepted; an argument is a strftime format, UTC.",
     NU_LOG_TEXT,                                                                                           NU_LOG_ARG_OPTIONAL, nu_logtime_prepare, start_time},
    NUMBER("DURATION", duration, "Milliseconds from accept to the end."),
    NUMBER("BYTES_RECEIVED", bytes_received, "Bytes read from the client's socket."),
    NUMBER("BYTES_SENT", bytes_sent, "Bytes written to the client's socket."),
    NUMBER("UPSTREAM_CONNECT_MS", connect_ms,
           "Milliseconds from the choice of an endpoint to a connection that is ready."),
    TEXT("DOWNSTREAM_REMOTE_ADDRESS", remote,
         "The client, by its PROXY header where there is one."),
    TEXT("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", remote_ip, "The same without the port."),
    NUMBER("DOWNSTREAM_REMOTE_PORT", remote_port, "The client's port."),
    TEXT("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", direct, "The socket's peer."),
    TEXT("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", direct_ip, "The same without the port."),
    NUMBER("DOWNSTREAM_DIRECT_REMOTE_PORT", direct_port, "The port of the socket's peer."),
    TEXT("DOWNSTREAM_LOCAL_ADDRESS", local,
         "Where the client connected to, by its PROXY header where there is one, or by the rule "
         "that "
         "redirected it where that is asked for."),
    TEXT("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", local_ip, "The same without the port."),
    NUMBER("DOWNSTREAM_LOCAL_PORT", local_port, "The port of it."),
    TEXT("DOWNSTREAM_DIRECT_LOCAL_ADDRESS", direct_local, "The socket's own address."),
    TEXT("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", direct_local_ip,
         "The same without the port."),
    NUMBER("DOWNSTREAM_DIRECT_LOCAL_PORT", direct_local_port, "The port of it."),
    TEXT("REQUESTED_SERVER_NAME", server_name,
         "SNI, where TLS is terminated or a match needed it."),
    TEXT("SNIFFED_ALPN", alpn,
         "Protocols that the client offers by ALPN, comma separated, in the same places."),
    TEXT("SNIFFED_TRANSPORT", transport, "`tls` or `plain`, in the same places."),
    NUMBER("CONNECTION_ID", connection_id, "A number unique in the process."),
    {"HOSTNAME",   "The machine's name.",                                                      NU_LOG_TEXT, NU_LOG_ARG_NONE,     hostname_prepare,   hostname  },
    TEXT("LISTENER", listener, "The listener's name."),
    TEXT("FILTER_CHAIN_NAME", chain_name, "The chosen chain's name."),
    TEXT("UPSTREAM_CLUSTER", cluster, "The chosen cluster's name."),
    TEXT("UPSTREAM_HOST", upstream, "The endpoint's address."),
    TEXT("UPSTREAM_REMOTE_ADDRESS", upstream, "The same."),
    TEXT("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", upstream_ip, "The same without the port."),
    NUMBER("UPSTREAM_REMOTE_PORT", upstream_port, "The endpoint's port."),
    NUMBER("UPSTREAM_REQUEST_ATTEMPT_COUNT", attempts, "Endpoints tried."),
    TEXT("RESPONSE_FLAGS", flags, "Envoy's flag for how it ended; absent when nothing was wrong."),
    TEXT("CLOSE_CAUSE", cause, "Why it ended: a name from the table of causes."),
    TEXT("CLOSED_BY", closed_by, "Who ended it: `client`, `upstream` or `local`."),
    TEXT("CLOSE_HOW", close_how, "`clean`, `reset`, `truncated`, `timeout` or `cancelled`."),
    TEXT("CLOSE_LAYER", close_layer, "The filter that ended it; `sock` when a peer did."),
    TEXT("CLOSE_DETAILS", close_details, "More about the cause, in words."),
    TEXT("CONNECTION_TERMINATION_DETAILS", termination, "Cause and details: `cause: details`."),
    TEXT("RESPONSE_CODE_DETAILS", termination, "The same."),
    NUMBER("RESPONSE_CODE", zero, "0 for TCP, as in Envoy."),
    TEXT("PROTOCOL", absent, HTTP_ONLY),
    WITH_ARG("REQ", HTTP_ONLY),
    WITH_ARG("RESP", HTTP_ONLY),
    WITH_ARG("TRAILER", HTTP_ONLY),
    NUMBER("REQUEST_DURATION", absent, HTTP_ONLY),
    NUMBER("RESPONSE_DURATION", absent, HTTP_ONLY),
    NUMBER("RESPONSE_TX_DURATION", absent, HTTP_ONLY),
};

void nu_log_ops_l4(void)
{
    nu_log_ops_register(ops, sizeof ops / sizeof *ops);
    nu_log_ops_tcp();
}
