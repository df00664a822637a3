/* x-forwarded-client-cert: what the client's certificate says, for servers behind us, as Envoy
 * writes it: `By=..;Hash=..;Cert="..";Chain="..";Subject="..";URI=..;DNS=..`, one such element for
 * each proxy that saw a client's certificate, comma separated. See forwarded.h.
 *
 * Every value is either free of the characters that the format is made of, or quoted; so no name in
 * a certificate adds a key or an element. */
#include "core/facts.h"
#include "l7/forwarded_priv.h"

#include <string.h>

/* What is being written: counted first (at NULL), then into that much memory. */
struct out {
    char *at;
    size_t len;
};

static void put(struct out *out, const char *bytes, size_t len)
{
    if (out->at)
        memcpy(out->at + out->len, bytes, len);
    out->len += len;
}

static void put_key(struct out *out, const char *key)
{
    if (out->len > 0)
        put(out, ";", 1);
    put(out, key, strlen(key));
    put(out, "=", 1);
}

/* RFC 2253 text is escaped with backslashes already. What would end the quotes before their time
 * cannot come of that, but of a text that was cut. */
static void put_escaped(struct out *out, const char *text)
{
    put(out, "\"", 1);
    for (; *text; text++) {
        if (*text == '"' || (*text == '\\' && !text[1]))
            put(out, "\\", 1);
        put(out, text, 1);
        if (*text == '\\' && text[1])
            put(out, ++text, 1);
    }
    put(out, "\"", 1);
}

/* A name as nu_tls_peer has it. Where it needs quotes, quotes and backslashes in it are escaped. */
static void put_name(struct out *out, const char *name, size_t len)
{
    bool plain = true;
    for (size_t i = 0; i < len; i++)
        plain = plain && !strchr(",;=\"\\ ", name[i]);
    if (plain) {
        put(out, name, len);
        return;
    }
    put(out, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '"' || name[i] == '\\')
            put(out, "\\", 1);
        put(out, name + i, 1);
    }
    put(out, "\"", 1);
}

/* A pair for each of the comma separated names. */
static void put_names(struct out *out, const char *key, const char *names)
{
    for (size_t len; names && *names; names += len + (names[len] == ',')) {
        len = strcspn(names, ",");
        put_key(out, key);
        put_name(out, names, len);
    }
}

static bool says(const struct nu_forwarded_conf *conf, enum nu_xfcc_detail detail)
{
    const int *details = conf->xfcc_details.items;
    for (size_t i = 0; i < conf->xfcc_details.count; i++)
        if (details[i] == (int)detail)
            return true;
    return false;
}

static void put_quoted(struct out *out, const char *key, const char *value)
{
    if (!value)
        return;
    put_key(out, key);
    put_escaped(out, value);
}

/* As Envoy: a subject and a URI are told of even where there is none. */
static void put_element(struct out *out, const struct nu_forwarded_conf *conf,
                        const struct nu_tls_facts *tls)
{
    const struct nu_tls_peer *peer = tls->peer;
    put_names(out, "By", tls->local ? tls->local->uri : NULL);
    put_names(out, "Hash", peer->sha256);
    if (says(conf, NU_XFCC_CERT))
        put_quoted(out, "Cert", peer->pem);
    if (says(conf, NU_XFCC_CHAIN))
        put_quoted(out, "Chain", peer->chain_pem);
    if (says(conf, NU_XFCC_SUBJECT))
        put_quoted(out, "Subject", peer->subject ? peer->subject : "");
    if (says(conf, NU_XFCC_URI) && peer->uri && *peer->uri)
        put_names(out, "URI", peer->uri);
    else if (says(conf, NU_XFCC_URI))
        put_key(out, "URI");
    if (says(conf, NU_XFCC_DNS))
        put_names(out, "DNS", peer->dns);
}

/* Whether another element can be added behind it: all quotes in it are closed. */
static bool is_closed(struct nu_text value)
{
    bool quoted = false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] == '"')
            quoted = !quoted;
        else if (quoted && value.at[i] == '\\')
            i++;
    }
    return !quoted;
}

static void tell(const struct nu_forwarded_conf *conf, struct nu_http_head *request,
                 const struct nu_tls_facts *tls, struct nu_text before)
{
    struct out out = {.at = NULL};
    put_element(&out, conf, tls);
    size_t lead = before.len ? before.len + 1 : 0;
    char *text = nu_arena_alloc(request->arena, lead + out.len);
    if (lead) {
        memcpy(text, before.at, before.len);
        text[before.len] = ',';
    }
    out = (struct out){.at = text + lead};
    put_element(&out, conf, tls);
    struct nu_text value = nu_text(text, lead + out.len);
    if (nu_http_value_ok(value))
        fw_put(request, NU_HDR_XFCC, value);
    else
        nu_http_remove_known(request, NU_HDR_XFCC);
}

void fw_client_cert(const struct nu_forwarded_conf *conf, struct nu_http_head *request,
                    const struct nu_facts *facts)
{
    struct nu_text before = {.len = 0};
    bool shown = facts->tls && facts->tls->peer;
    if (conf->xfcc == NU_XFCC_ALWAYS_FORWARD || (conf->xfcc == NU_XFCC_FORWARD_ONLY && shown))
        return;
    if (conf->xfcc == NU_XFCC_SANITIZE || !shown) {
        nu_http_remove_known(request, NU_HDR_XFCC);
        return;
    }
    if (conf->xfcc == NU_XFCC_APPEND_FORWARD)
        before = fw_list(request, NU_HDR_XFCC);
    if (!is_closed(before))
        before.len = 0;
    tell(conf, request, facts->tls, before);
}
