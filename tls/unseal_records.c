/* Bytes to records (RFC 8446 5.1). A record that lies whole in what was fed is read in place; any
 * other is gathered. Behind a gap the next record is looked for where it must begin, or else, if
 * the beginning of some record is lost, wherever the bytes look like one: that it opens proves it.
 */
#include "core/assert.h"
#include "tls/unseal_priv.h"

#include <string.h>

/* Of a record whose header is there. */
static size_t whole_len(const uint8_t *header)
{
    return UNSEAL_HEADER + ((size_t)header[3] << 8 | header[4]);
}

static bool is_header(const uint8_t *p)
{
    return p[0] >= TYPE_CCS && p[0] <= TYPE_HEARTBEAT && p[1] == 3 && p[2] <= 4 &&
           whole_len(p) <= UNSEAL_HEADER + UNSEAL_RECORD_MAX;
}

enum nu_err nu_unseal_looks(const uint8_t *bytes, size_t len)
{
    if (len > 0 && (bytes[0] < TYPE_CCS || bytes[0] > TYPE_HEARTBEAT))
        return NU_NOT_THIS;
    if ((len > 1 && bytes[1] != 3) || (len > 2 && bytes[2] > 4))
        return NU_NOT_THIS;
    if (len < UNSEAL_HEADER)
        return NU_MORE;
    return is_header(bytes) && whole_len(bytes) > UNSEAL_HEADER ? NU_OK : NU_NOT_THIS;
}

static void drop_part(struct nu_unseal *u, struct unseal_half *h)
{
    h->part = unseal_resize(u, h->part, h->part_cap, 0);
    h->part_len = h->part_cap = 0;
}

static void check_header(struct nu_unseal *u, struct unseal_half *h, const uint8_t *header)
{
    if (!is_header(header))
        unseal_close(
            u, h, u->has_client || u->has_server ? NU_UNSEAL_BAD_RECORD : NU_UNSEAL_MISSED_START);
}

/* --- behind a gap --- */

static void start_hunt(struct nu_unseal *u, struct unseal_half *h, uint64_t lost, uint64_t skip)
{
    h->state = UNSEAL_HUNTING;
    h->astray = true;
    h->lost = lost;
    h->skip = skip;
    h->hunted = 0;
    unseal_handshake_lost(u, h);
}

/* Of the record that was begun it is known where it ends. A lost hello ends it all. */
void unseal_miss(struct nu_unseal *u, struct unseal_half *h, uint64_t bytes)
{
    uint64_t gone = h->part_len + bytes;
    if (h->state == UNSEAL_HUNTING) {
        h->lost += gone;
        h->skip -= h->skip < gone ? h->skip : gone;
    } else {
        uint64_t rest = h->part_len < UNSEAL_HEADER ? 0 : whole_len(h->part) - h->part_len;
        start_hunt(u, h, gone, rest > bytes ? rest - bytes : 0);
    }
    drop_part(u, h);
    if (h->dir == UNSEAL_CLIENT ? !u->has_client : !u->has_server)
        unseal_close_both(u, h->gap_snapped ? NU_UNSEAL_SNAP_LENGTH : NU_UNSEAL_GAP);
}

/* Drops the first `n` bytes of what is gathered. */
static void cut_part(struct unseal_half *h, size_t n)
{
    h->part_len -= (uint32_t)n;
    memmove(h->part, h->part + n, h->part_len);
}

static void pass_over(struct unseal_half *h, size_t n)
{
    h->lost += n;
    h->hunted += (uint32_t)n;
}

/* Whether a record of this connection may begin so. Sealed ones of TLS 1.3 all look alike. */
static bool may_begin(const struct nu_unseal *u, const uint8_t *bytes, size_t len)
{
    uint16_t version = u->facts.version;
    if (nu_unseal_looks(bytes, len) == NU_NOT_THIS)
        return false;
    if (version == UNSEAL_TLS13 && bytes[0] != TYPE_DATA)
        return false;
    return len < 3 || bytes[2] == (version == UNSEAL_TLS13 ? 3 : version & 0xff);
}

/* Whether the whole of what may begin there is at hand. */
static bool is_whole(const uint8_t *bytes, size_t len)
{
    return len >= UNSEAL_HEADER && whole_len(bytes) <= len;
}

/* The first place from `at` on where a record may begin; `len` if there is none. `last`: one that
 * is not whole is none. */
static size_t next_candidate(const struct nu_unseal *u, const struct unseal_half *h, size_t at,
                             bool last)
{
    for (; at < h->part_len; at++)
        if (may_begin(u, h->part + at, h->part_len - at) &&
            (!last || is_whole(h->part + at, h->part_len - at)))
            return at;
    return at;
}

/* Whether the record at `at` proves to be one. */
static bool is_found(struct nu_unseal *u, struct unseal_half *h, size_t at)
{
    h->state = UNSEAL_READING;
    if (unseal_record_behind(u, h, h->part + at, whole_len(h->part + at)))
        return true;
    h->state = UNSEAL_HUNTING;
    return false;
}

/* Looks through what is gathered, as far as it can tell: true, and what is behind the record that
 * was found is left; or the beginning of what may be one, unless nothing more will come. */
static bool hunt(struct nu_unseal *u, struct unseal_half *h, bool last)
{
    size_t at = 0;
    bool found = false;
    for (;;) {
        size_t next = next_candidate(u, h, at, last);
        pass_over(h, next - at);
        at = next;
        if (!is_whole(h->part + at, h->part_len - at))
            break;
        size_t whole = whole_len(h->part + at);
        found = is_found(u, h, at);
        if (h->state == UNSEAL_CLOSED)
            return true;
        if (found) {
            at += whole;
            break;
        }
        pass_over(h, 1);
        at++;
    }
    cut_part(h, at);
    if (!found && (h->hunted > NU_UNSEAL_HUNT_MAX || u->hunt_work > NU_UNSEAL_HUNT_WORK))
        unseal_close(u, h, h->gap_snapped ? NU_UNSEAL_SNAP_LENGTH : NU_UNSEAL_GAP);
    return found;
}

/* Takes bytes to hunt through. */
static size_t take_hunted(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes,
                          size_t len)
{
    if (h->skip) {
        size_t n = len < h->skip ? len : (size_t)h->skip;
        h->skip -= n;
        h->lost += n;
        return n;
    }
    size_t room = NU_UNSEAL_HUNT_MAX - h->part_len, n = len < room ? len : room;
    unseal_append(u, &h->part, &h->part_len, &h->part_cap, bytes, (uint32_t)n);
    return n;
}

/* --- in sequence --- */

/* A whole record. False: it has to come again. */
static bool read_record(struct nu_unseal *u, struct unseal_half *h, const uint8_t *record,
                        size_t len)
{
    enum unseal_step step = unseal_record(u, h, record, len);
    if (step == STEP_BAD && h->state != UNSEAL_CLOSED)
        start_hunt(u, h, len, 0);
    return step != STEP_BLOCKED;
}

static bool holds_whole(const struct unseal_half *h)
{
    return h->state == UNSEAL_READING && h->part_len >= UNSEAL_HEADER &&
           h->part_len >= whole_len(h->part);
}

/* The first record of those gathered. */
static bool read_gathered(struct nu_unseal *u, struct unseal_half *h)
{
    size_t whole = whole_len(h->part);
    check_header(u, h, h->part);
    if (h->state == UNSEAL_CLOSED)
        return true;
    if (!read_record(u, h, h->part, whole))
        return false;
    if (h->state == UNSEAL_CLOSED)
        return true;
    cut_part(h, whole);
    if (h->part_len == 0)
        drop_part(u, h);
    return true;
}

/* Goes on with the record that was begun, or begins one. */
static size_t gather(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes, size_t len)
{
    size_t whole = h->part_len < UNSEAL_HEADER ? UNSEAL_HEADER : whole_len(h->part);
    size_t want = whole - h->part_len, n = want < len ? want : len;
    unseal_append(u, &h->part, &h->part_len, &h->part_cap, bytes, (uint32_t)n);
    if (h->part_len == UNSEAL_HEADER)
        check_header(u, h, h->part);
    return n;
}

/* A record where it lies, or a part of one. 0: blocked. */
static size_t read_one(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes, size_t len)
{
    if (h->part_len || len < UNSEAL_HEADER || whole_len(bytes) > len)
        return gather(u, h, bytes, len);
    check_header(u, h, bytes);
    if (h->state == UNSEAL_CLOSED)
        return len;
    return read_record(u, h, bytes, whole_len(bytes)) ? whole_len(bytes) : 0;
}

/* One step. False: there is no next one. */
static bool step_on(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes, size_t len,
                    size_t *at)
{
    size_t n;
    if (holds_whole(h))
        return read_gathered(u, h);
    if (h->state == UNSEAL_READING) {
        n = *at < len ? read_one(u, h, bytes + *at, len - *at) : 0;
        *at += n;
        return n > 0;
    }
    if (!unseal_ready(u, h))
        return false;
    n = *at < len ? take_hunted(u, h, bytes + *at, len - *at) : 0;
    *at += n;
    bool found = h->part_len && hunt(u, h, false);
    return found || *at < len;
}

bool unseal_read_last(struct nu_unseal *u, struct unseal_half *h)
{
    if (h->state == UNSEAL_HUNTING && !unseal_ready(u, h))
        return false;
    while (h->state == UNSEAL_HUNTING && h->part_len && hunt(u, h, true))
        while (holds_whole(h) && read_gathered(u, h))
            ;
    if (h->state == UNSEAL_HUNTING)
        unseal_tell_lost(u, h);
    return true;
}

/* What is blocked is given back, so that a direction that has something to read always has bytes
 * waiting. */
size_t unseal_read(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (h->state != UNSEAL_CLOSED && !(u->yield && u->half[!h->dir].queued))
        if (!step_on(u, h, bytes, len, &at))
            break;
    if (h->state == UNSEAL_CLOSED)
        return len;
    if (holds_whole(h)) {
        size_t back = at < h->part_len ? at : h->part_len;
        h->part_len -= (uint32_t)back;
        at -= back;
    }
    return at;
}
