/* Which keys a record is opened with (RFC 8446 5, 7; RFC 5246 6). A direction is in an epoch, whose
 * keys are made when its first record comes and the secret is there. TLS 1.3 changes epochs inside
 * of what is sealed; where that is not seen (0-RTT that the server refused, secrets of the
 * handshake not logged, a gap) the next epoch's keys are tried. */
#include "tls/unseal_priv.h"

/* --- keys --- */

void unseal_enter(struct nu_unseal *u, struct unseal_half *h, enum unseal_epoch epoch)
{
    struct unseal_seal *seals[] = {&h->seal, &h->next};
    for (int i = 0; i < 2; i++) {
        if (seals[i]->suite)
            u->all->memory -= UNSEAL_SEAL_BYTES;
        unseal_seal_clear(seals[i]);
    }
    h->epoch = epoch;
    h->opened = false;
}

static bool is_13(const struct nu_unseal *u)
{
    return u->facts.version == UNSEAL_TLS13;
}

static const uint8_t *secret_13(const struct nu_unseal *u, int dir, enum unseal_epoch epoch,
                                size_t *len)
{
    static const enum nu_secret kinds[2][4] = {
        {0, NU_SECRET_CLIENT_EARLY, NU_SECRET_CLIENT_HANDSHAKE, NU_SECRET_CLIENT_TRAFFIC},
        {0, 0,                      NU_SECRET_SERVER_HANDSHAKE, NU_SECRET_SERVER_TRAFFIC},
    };
    return nu_secrets_find(u->all->secrets, u->client_random, kinds[dir][epoch], len);
}

static bool keys_13(struct nu_unseal *u, struct unseal_half *h, enum unseal_epoch epoch,
                    struct unseal_seal *seal)
{
    size_t len;
    const uint8_t *secret = secret_13(u, h->dir, epoch, &len);
    return secret && unseal_seal_13(&u->all->algorithms, seal, u->suite, secret, len);
}

/* From the premaster that RSA's key exchange sent, if that is what the log has. */
static bool master_of_rsa(struct nu_unseal *u, const struct unseal_params *params,
                          uint8_t out[static 48])
{
    size_t len;
    uint8_t seed[2 * UNSEAL_RANDOM];
    const uint8_t *pre =
        u->rsa ? nu_secrets_find(u->all->secrets, u->rsa_id, NU_SECRET_PREMASTER, &len) : NULL;
    if (!pre)
        return false;
    if (u->ems)
        return u->session_hash_len > 0 &&
               unseal_master(&u->all->algorithms, params, pre, "extended master secret",
                             u->session_hash, u->session_hash_len, out);
    for (int i = 0; i < UNSEAL_RANDOM; i++) {
        seed[i] = u->client_random[i];
        seed[UNSEAL_RANDOM + i] = u->server_random[i];
    }
    return unseal_master(&u->all->algorithms, params, pre, "master secret", seed, sizeof seed, out);
}

static bool keys_12(struct nu_unseal *u, struct unseal_half *h, struct unseal_seal *seal)
{
    const struct unseal_params params = {
        .suite = u->suite,
        .version = u->facts.version,
        .etm = u->etm,
        .client_random = u->client_random,
        .server_random = u->server_random,
    };
    uint8_t own[48];
    size_t len;
    const uint8_t *master =
        nu_secrets_find(u->all->secrets, u->client_random, NU_SECRET_MASTER, &len);
    if (!master && master_of_rsa(u, &params, own))
        master = own;
    return master && unseal_seal_12(&u->all->algorithms, seal, &params, master, h->dir);
}

/* The keys of an epoch, made at most once. */
static bool keys(struct nu_unseal *u, struct unseal_half *h, enum unseal_epoch epoch,
                 struct unseal_seal *seal)
{
    if (seal->suite)
        return true;
    if (!u->has_client || !u->has_server || !u->suite)
        return false;
    bool good = is_13(u) ? keys_13(u, h, epoch, seal) : keys_12(u, h, seal);
    if (good)
        u->all->memory += UNSEAL_SEAL_BYTES;
    else
        unseal_seal_clear(seal);
    return good;
}

/* Early data that the server refused is never opened: nobody has read it. */
static bool current_keys(struct nu_unseal *u, struct unseal_half *h)
{
    if (h->epoch == EPOCH_EARLY && !u->facts.early_data)
        return false;
    return h->epoch != EPOCH_CLEAR && keys(u, h, h->epoch, &h->seal);
}

/* Those that may follow unseen. */
static bool next_keys(struct nu_unseal *u, struct unseal_half *h)
{
    if (h->next.suite)
        return true;
    if (!is_13(u))
        return h->epoch == EPOCH_CLEAR && keys(u, h, EPOCH_TRAFFIC, &h->next);
    if (h->epoch < EPOCH_TRAFFIC)
        return h->epoch != EPOCH_CLEAR && keys(u, h, h->epoch + 1, &h->next);
    if (!h->seal.suite || !unseal_seal_next(&u->all->algorithms, &h->next, &h->seal)) {
        unseal_seal_clear(&h->next);
        return false;
    }
    u->all->memory += UNSEAL_SEAL_BYTES;
    return true;
}

static bool has_keys(struct nu_unseal *u, struct unseal_half *h)
{
    return current_keys(u, h) || (is_13(u) && h->epoch != EPOCH_TRAFFIC && next_keys(u, h));
}

/* A server of TLS 1.3 logs the client's last secret a round trip behind its own: what it answers
 * would be read before the request. */
bool unseal_held(struct nu_unseal *u, struct unseal_half *h)
{
    size_t len;
    const struct unseal_half *other = &u->half[!h->dir];
    return other->queued && other->state != UNSEAL_CLOSED && is_13(u) &&
           h->epoch >= EPOCH_HANDSHAKE && has_keys(u, h) &&
           !secret_13(u, other->dir, EPOCH_TRAFFIC, &len);
}

/* What was tried as the next epoch is the present one. */
static void enter_next(struct nu_unseal *u, struct unseal_half *h)
{
    struct unseal_seal next = h->next;
    h->next = (struct unseal_seal){0};
    bool last = h->epoch == EPOCH_CLEAR || h->epoch >= EPOCH_HANDSHAKE;
    unseal_enter(u, h, last ? EPOCH_TRAFFIC : h->epoch + 1);
    h->seal = next;
    if (h->dir == UNSEAL_SERVER)
        u->has_encrypted = u->yield = true; /* or it never will */
}

void unseal_update_keys(struct nu_unseal *u, struct unseal_half *h)
{
    if (h->epoch == EPOCH_TRAFFIC && next_keys(u, h))
        enter_next(u, h);
}

/* --- what was opened --- */

static void take_alert(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes, size_t len)
{
    if (len != 2)
        return;
    if (bytes[1] == 0)
        u->facts.close_notify[h->dir] = true;
    else
        u->facts.alert[h->dir] = (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void deliver(struct nu_unseal *u, struct unseal_half *h, const struct unseal_opened *in)
{
    h->opened = u->facts.decrypted = true;
    h->bad = 0;
    if (in->type == TYPE_DATA && in->len) {
        u->facts.plain[h->dir] += in->len;
        u->handler->plain(u->ctx, h->dir, in->bytes, in->len, h->time_ns);
    } else if (in->type == TYPE_HANDSHAKE) {
        unseal_handshake(u, h, in->bytes, in->len);
    } else if (in->type == TYPE_ALERT) {
        take_alert(u, h, in->bytes, in->len);
    } else if (in->type == TYPE_CCS && !is_13(u)) {
        unseal_enter(u, h, EPOCH_TRAFFIC); /* renegotiated */
    }
}

/* --- in sequence --- */

static bool open_with(struct nu_unseal *u, struct unseal_seal *seal, const uint8_t *record,
                      size_t len, struct unseal_opened *out)
{
    if (!unseal_open(seal, seal->seq, record, len, u->all->room, out))
        return false;
    seal->seq++;
    return true;
}

static enum unseal_step refuse(struct nu_unseal *u, struct unseal_half *h)
{
    bool first = !h->opened && !h->astray;
    if (first || ++h->bad >= NU_UNSEAL_BAD_MAX)
        unseal_close(u, h, first ? NU_UNSEAL_WRONG_KEYS : NU_UNSEAL_BAD_RECORD);
    return STEP_BAD;
}

/* Sealed with keys that nobody has: data that was sent early, or the handshake. */
static enum unseal_step pass(struct nu_unseal *u, struct unseal_half *h, size_t len)
{
    size_t around = UNSEAL_HEADER + 17;
    if (h->epoch == EPOCH_EARLY && u->facts.early_data)
        u->handler->gap(u->ctx, h->dir, len > around ? len - around : 0, false, h->time_ns);
    return STEP_DONE;
}

static enum unseal_step open_record(struct nu_unseal *u, struct unseal_half *h,
                                    const uint8_t *record, size_t len)
{
    struct unseal_opened out;
    if (h->epoch == EPOCH_EARLY && !u->has_encrypted)
        return STEP_BLOCKED;
    bool held = unseal_held(u, h);
    bool current = !(held && h->epoch == EPOCH_TRAFFIC) && current_keys(u, h);
    if (current && open_with(u, &h->seal, record, len, &out)) {
        deliver(u, h, &out);
        return STEP_DONE;
    }
    if (held) /* what does not open may be the first of the next epoch */
        return STEP_BLOCKED;
    bool may_next = is_13(u) && h->epoch != EPOCH_TRAFFIC;
    bool next = may_next && next_keys(u, h);
    if (next && open_with(u, &h->next, record, len, &out)) {
        enter_next(u, h);
        deliver(u, h, &out);
        return STEP_DONE;
    }
    if (!current && !next)
        return STEP_BLOCKED;
    return current && h->epoch != EPOCH_EARLY ? refuse(u, h) : pass(u, h, len);
}

/* A ChangeCipherSpec means something up to TLS 1.2 only; which it is, the ServerHello says. */
static enum unseal_step clear_record(struct nu_unseal *u, struct unseal_half *h,
                                     const uint8_t *record, size_t len)
{
    const uint8_t *bytes = record + UNSEAL_HEADER;
    size_t n = len - UNSEAL_HEADER;
    bool waits = h->dir == UNSEAL_CLIENT && !u->has_server;
    if (record[0] == TYPE_HANDSHAKE) {
        unseal_handshake(u, h, bytes, n);
    } else if (record[0] == TYPE_ALERT) {
        take_alert(u, h, bytes, n);
    } else if (record[0] != TYPE_HEARTBEAT) {
        if (waits && u->has_client && !u->facts.retried)
            return STEP_BLOCKED;
        if (record[0] == TYPE_CCS && u->has_server && !is_13(u))
            unseal_enter(u, h, EPOCH_TRAFFIC);
        else if (record[0] == TYPE_DATA && !u->facts.retried)
            unseal_close(u, h, NU_UNSEAL_MISSED_START);
    }
    return STEP_DONE;
}

enum unseal_step unseal_record(struct nu_unseal *u, struct unseal_half *h, const uint8_t *record,
                               size_t len)
{
    if (len == UNSEAL_HEADER)
        return STEP_DONE;
    if (h->epoch == EPOCH_CLEAR || (is_13(u) && record[0] != TYPE_DATA))
        return clear_record(u, h, record, len);
    return open_record(u, h, record, len);
}

/* --- behind a gap --- */

bool unseal_ready(struct nu_unseal *u, struct unseal_half *h)
{
    if (h->epoch == EPOCH_CLEAR)
        return u->has_client && u->has_server;
    if (h->epoch == EPOCH_EARLY && !u->has_encrypted)
        return false;
    return has_keys(u, h) && !unseal_held(u, h);
}

/* Numbers that the record can have: at least so many are lost that the longest records hold the
 * lost bytes. *number is how many after the seal's. In TLS 1.0 each record is opened with the one
 * before it, so that only the first can be. */
static bool try_numbers(struct nu_unseal *u, const struct unseal_half *h, struct unseal_seal *seal,
                        const uint8_t *record, size_t len, uint64_t *number,
                        struct unseal_opened *out)
{
    bool other = seal == &h->next; /* none of them may be under these keys */
    uint64_t first = other ? 0 : h->lost / (UNSEAL_HEADER + UNSEAL_RECORD_MAX);
    uint64_t last = h->lost / (UNSEAL_HEADER + 1u);
    if (last > first + NU_UNSEAL_HUNT_TRIES)
        last = first + NU_UNSEAL_HUNT_TRIES;
    if (seal->version < 0x0302)
        last = 0;
    for (*number = first; *number <= last && u->hunt_work <= NU_UNSEAL_HUNT_WORK; ++*number) {
        if (unseal_open(seal, seal->seq + *number, record, len, u->all->room, out)) {
            seal->seq += *number + 1;
            return true;
        }
        u->hunt_work += len;
    }
    return false;
}

/* Exactly as much as all lost records were of data, which mostly they are. */
static void tell_gap(struct nu_unseal *u, struct unseal_half *h, uint64_t records)
{
    uint64_t around = records * unseal_overhead(&h->seal);
    if (h->epoch == EPOCH_TRAFFIC)
        u->handler->gap(u->ctx, h->dir, h->lost > around ? h->lost - around : 0,
                        h->seal.bulk->mode != UNSEAL_CBC, h->time_ns);
}

/* The same where the keys have changed unseen, and `records` before this one are under the new
 * ones. If it is the first with data, what is lost was the handshake: up to TLS 1.2 a Finished
 * comes before. */
static void tell_gap_and_change(struct nu_unseal *u, struct unseal_half *h, uint64_t records,
                                bool updated)
{
    if (h->epoch == EPOCH_TRAFFIC && (updated || records > (is_13(u) ? 0 : 1)))
        u->handler->gap(u->ctx, h->dir, h->lost, false, h->time_ns);
}

void unseal_tell_lost(struct nu_unseal *u, struct unseal_half *h)
{
    uint64_t lost = h->lost + h->part_len;
    h->lost = 0;
    if (lost && h->epoch == EPOCH_TRAFFIC)
        u->handler->gap(u->ctx, h->dir, lost, false, h->time_ns);
}

static bool open_behind(struct nu_unseal *u, struct unseal_half *h, const uint8_t *record,
                        size_t len)
{
    struct unseal_opened out;
    uint64_t number = 0;
    bool updated = h->epoch == EPOCH_TRAFFIC;
    if (current_keys(u, h) && try_numbers(u, h, &h->seal, record, len, &number, &out)) {
        tell_gap(u, h, number);
    } else if (next_keys(u, h) && try_numbers(u, h, &h->next, record, len, &number, &out)) {
        enter_next(u, h);
        tell_gap_and_change(u, h, number, updated);
    } else {
        return false;
    }
    deliver(u, h, &out);
    return true;
}

/* In clear nothing proves itself; but whole messages that a handshake goes on with, and a
 * ChangeCipherSpec, are not there by chance. */
static bool is_clear(const uint8_t *record, size_t len)
{
    size_t at = UNSEAL_HEADER;
    if (record[0] == TYPE_CCS)
        return len == UNSEAL_HEADER + 1 && record[UNSEAL_HEADER] == 1;
    if (record[0] == TYPE_ALERT)
        return len == UNSEAL_HEADER + 2 && record[5] >= 1 && record[5] <= 2;
    while (record[0] == TYPE_HANDSHAKE && len - at >= 4 && record[at] >= 4 && record[at] <= 22) {
        size_t body = (size_t)record[at + 1] << 16 | (size_t)record[at + 2] << 8 | record[at + 3];
        at += 4;
        if (body > len - at)
            return false;
        at += body;
        if (at == len)
            return true;
    }
    return false;
}

bool unseal_record_behind(struct nu_unseal *u, struct unseal_half *h, const uint8_t *record,
                          size_t len)
{
    bool found;
    if (len == UNSEAL_HEADER || record[1] != 3)
        return false;
    if (h->epoch == EPOCH_CLEAR && is_clear(record, len))
        found = clear_record(u, h, record, len) == STEP_DONE;
    else if (is_13(u) && record[0] != TYPE_DATA)
        found = false;
    else
        found = open_behind(u, h, record, len);
    if (found)
        h->lost = 0;
    return found;
}
