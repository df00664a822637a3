/* Packets that wait, and their connections; see write.h. */
#include "tools/tap/write.h"

#include "core/assert.h"
#include "protocols/capture/write.h"
#include "tools/nuncio/command.h"
#include "tools/tap/write_keys.h"
#include "tools/tap/write_story.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS     16384u /* of connections by number, which are given out one after the other */
#define WRITE_BYTES (64 * 1024) /* that one write takes */
#define DEAD_SHARE  4           /* of the memory, that packets nobody wants may take */

struct flow {
    struct flow *next;
    uint64_t number;
    struct tap_story story;
    struct tap_key_id *id;
    uint8_t ids;
    bool chosen, over;
    unsigned file;    /* that has its story; 0 = none */
    bool fresh;       /* something was told since that was written */
    uint64_t waiting; /* packets */
    size_t waiting_bytes;
    uint64_t let_go;   /* packets, before it was chosen */
    uint64_t keys_had; /* of the key log when its secrets were looked for */
};

struct held {
    struct nu_list node;
    struct flow *flow; /* or NULL */
    uint32_t interface, len, wire_len;
    int64_t time_ns;
    uint8_t data[];
};

struct interface {
    uint32_t source, link;
    uint32_t number; /* in this file */
    unsigned file;   /* that describes it */
};

enum mode {
    WAITS,  /* one reading: packets wait until it is known what becomes of them */
    SCOUTS, /* the first of two, that only finds out which connections are wanted */
    KNOWS,  /* the second one */
};

struct tap_pen {
    struct tap_pen_conf conf;
    enum mode mode;
    const struct tap *tap;
    struct tap_outfile *to;
    struct nu_capture_out out;
    struct tap_out scratch;
    struct nu_list held; /* in their order */
    struct flow *bucket[BUCKETS];
    size_t memory;
    struct interface *interface;
    unsigned interfaces, described; /* known; in this file */
    unsigned file;                  /* files begun */
    int64_t now_ns;
    size_t dead; /* bytes held of connections that are over and were not asked for, about */
    uint64_t missing;
    bool failed;
};

struct tap_pen *tap_pen_open(const struct tap_pen_conf *conf, int source)
{
    struct tap_pen *pen = calloc(1, sizeof *pen);
    nu_assert(pen != NULL);
    pen->conf = *conf;
    nu_list_init(&pen->held);
    pen->to = tap_outfile_open(&conf->target, source);
    if (pen->to)
        return pen;
    tap_pen_close(pen);
    return NULL;
}

void tap_pen_attach(struct tap_pen *pen, struct tap *tap)
{
    pen->tap = tap;
    tap_add_sink(tap, &tap_pen_sink, pen);
}

/* --- connections --- */

static struct flow **slot_of(struct tap_pen *pen, uint64_t number)
{
    struct flow **at = &pen->bucket[number % BUCKETS];
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static struct flow *flow_of(struct tap_pen *pen, uint64_t number)
{
    struct flow **at = slot_of(pen, number), *f = *at;
    if (f)
        return f;
    f = calloc(1, sizeof *f);
    nu_assert(f != NULL);
    f->number = number;
    f->chosen = pen->conf.only ? number == pen->conf.only : !pen->conf.chosen_only;
    pen->memory += sizeof *f;
    *at = f;
    return f;
}

static void drop_flow(struct tap_pen *pen, struct flow *f)
{
    pen->memory -= sizeof *f + f->story.len + f->ids * sizeof *f->id;
    *slot_of(pen, f->number) = f->next;
    tap_story_free(&f->story);
    free(f->id);
    free(f);
}

/* Of two readings the second needs what the first found. */
static void drop_if_over(struct tap_pen *pen, struct flow *f)
{
    bool needed = pen->mode == KNOWS || (pen->mode == SCOUTS && f->chosen);
    if (f->over && !f->waiting && !needed)
        drop_flow(pen, f);
}

static void choose(struct tap_pen *pen, struct flow *f)
{
    if (f->chosen || pen->conf.only)
        return;
    f->chosen = true;
    pen->missing += f->let_go;
}

/* --- blocks --- */

static void fail(struct tap_pen *pen)
{
    pen->failed = true;
    pen->out.len = 0;
}

static void flush(struct tap_pen *pen)
{
    if (!pen->failed && pen->out.len && !tap_outfile_write(pen->to, pen->out.data, pen->out.len))
        fail(pen);
    pen->out.len = 0;
}

static void begin_file(struct tap_pen *pen, int64_t time_ns)
{
    flush(pen);
    if (!pen->failed && !tap_outfile_next(pen->to, time_ns))
        fail(pen);
    pen->file++;
    pen->described = 0;
    nu_capture_put_section(&pen->out, "nuncio-tap " NU_VERSION);
}

static struct interface *interface_of(struct tap_pen *pen, uint32_t source, uint32_t link)
{
    struct interface *like = NULL;
    for (unsigned i = 0; i < pen->interfaces; i++) {
        struct interface *at = &pen->interface[i];
        if (at->link == link && at->source == source)
            return at;
        like = at->link == link ? at : like;
    }
    if (pen->interfaces == TAP_PEN_INTERFACES)
        return like;
    if (!pen->interface)
        pen->interface = calloc(TAP_PEN_INTERFACES, sizeof *pen->interface);
    nu_assert(pen->interface != NULL);
    struct interface *at = &pen->interface[pen->interfaces++];
    *at = (struct interface){.source = source, .link = link};
    return at;
}

static void describe(struct tap_pen *pen, struct interface *at)
{
    if (at->file == pen->file)
        return;
    at->file = pen->file;
    at->number = pen->described++;
    nu_capture_put_interface(&pen->out, at->link, 0, pen->conf.interface);
}

static void put_secrets(struct tap_pen *pen, struct flow *f)
{
    uint64_t keys = nu_secrets_figures(tap_secrets(pen->tap)).keys;
    char lines[TAP_KEY_LINES_MAX];
    if (f->keys_had == keys)
        return;
    f->keys_had = keys;
    for (unsigned i = 0; i < f->ids; i++) {
        size_t len =
            tap_key_has_all(&f->id[i]) ? 0 : tap_key_lines(&f->id[i], tap_secrets(pen->tap), lines);
        if (len)
            nu_capture_put_secrets(&pen->out, (struct nu_piece){(const uint8_t *)lines, len});
    }
}

/* At its first packet in a file; and at its last one, if more has become known since. */
static struct nu_piece story_for(struct tap_pen *pen, struct flow *f)
{
    bool first = f->file != pen->file, last = f->over && f->waiting == 1;
    if (!first && !(last && f->fresh))
        return (struct nu_piece){NULL, 0};
    f->fresh = false;
    tap_story_compose(&f->story, &pen->scratch);
    return (struct nu_piece){(const uint8_t *)pen->scratch.buf.data, pen->scratch.buf.len};
}

static void write_packet(struct tap_pen *pen, const struct held *h)
{
    struct flow *f = h->flow;
    struct interface *interface = &pen->interface[h->interface];
    struct nu_capture_packet packet = {
        .frame = {h->data, h->len},
          .wire_len = h->wire_len, .time_ns = h->time_ns
    };
    size_t room = pen->out.len + nu_capture_packet_room(&packet);
    if (!pen->file || tap_outfile_is_over(pen->to, room, h->time_ns))
        begin_file(pen, h->time_ns);
    describe(pen, interface);
    packet.interface = interface->number;
    if (f && f->file != pen->file) {
        f->keys_had = 0;
        for (unsigned i = 0; i < f->ids; i++)
            f->id[i].written = 0;
    }
    if (f) {
        put_secrets(pen, f);
        packet.comment = story_for(pen, f);
        f->file = pen->file;
    }
    nu_capture_put_packet(&pen->out, &packet);
    if (pen->out.len >= WRITE_BYTES)
        flush(pen);
}

/* --- the queue --- */

/* It is out of the queue. */
static void release(struct tap_pen *pen, struct held *h)
{
    struct flow *f = h->flow;
    if (f && !f->chosen)
        f->let_go++;
    else if (!pen->failed)
        write_packet(pen, h);
    pen->memory -= sizeof *h + h->len;
    if (f) {
        f->waiting--;
        f->waiting_bytes -= sizeof *h + h->len;
        drop_if_over(pen, f);
    }
    free(h);
}

/* What nobody wants any more need not wait for its turn. */
static void sweep(struct tap_pen *pen)
{
    pen->dead = 0;
    nu_list_each (node, &pen->held) {
        struct held *h = nu_container(node, struct held, node);
        if (!h->flow || !h->flow->over || h->flow->chosen)
            continue;
        nu_list_del(node);
        release(pen, h);
    }
}

static bool may_go(const struct tap_pen *pen, const struct held *h)
{
    const struct flow *f = h->flow;
    if (pen->memory > pen->conf.memory_max || !f || f->over || pen->failed || pen->mode == KNOWS)
        return true;
    return f->chosen && pen->conf.hold_ns >= 0 && pen->now_ns - h->time_ns >= pen->conf.hold_ns;
}

static void settle(struct tap_pen *pen)
{
    while (!nu_list_empty(&pen->held)) {
        struct held *h = nu_container(pen->held.next, struct held, node);
        if (!may_go(pen, h)) /* NOLINT: the analyzer forgets that what was freed is unlinked */
            return;
        nu_list_del(&h->node);
        release(pen, h);
    }
}

static void hold(struct tap_pen *pen, struct flow *f, const struct interface *i,
                 const struct nu_capture_event *packet)
{
    struct held *h = malloc(sizeof *h + packet->len);
    nu_assert(h != NULL);
    *h = (struct held){.flow = f,
                       .interface = (uint32_t)(i - pen->interface),
                       .len = packet->len,
                       .wire_len = packet->wire_len,
                       .time_ns = packet->time_ns};
    memcpy(h->data, packet->data, packet->len);
    nu_list_add_tail(&pen->held, &h->node);
    pen->memory += sizeof *h + h->len;
    if (!f)
        return;
    f->waiting++;
    f->waiting_bytes += sizeof *h + h->len;
}

static void pen_packet(void *ctx, const struct nu_capture_event *packet, uint64_t number)
{
    struct tap_pen *pen = ctx;
    if (pen->mode == SCOUTS)
        return;
    struct flow *f = pen->mode == KNOWS ? *slot_of(pen, number)
                     : number           ? flow_of(pen, number)
                                        : NULL;
    const struct interface *i = interface_of(pen, packet->interface, packet->link);
    bool asked_for = pen->conf.only ? number == pen->conf.only : f || !pen->conf.chosen_only;
    pen->now_ns = packet->time_ns > pen->now_ns ? packet->time_ns : pen->now_ns;
    if (i && asked_for && !pen->failed)
        hold(pen, f, i, packet);
    pen->missing += !i;
    settle(pen);
}

/* --- what is told --- */

static void pen_any(void *ctx, const struct tap_record *r, bool fits)
{
    struct tap_pen *pen = ctx;
    if (pen->mode == KNOWS)
        return;
    struct flow *f = flow_of(pen, r->conn->flow->number);
    if (fits)
        choose(pen, f);
    if (pen->memory <= pen->conf.memory_max / (pen->mode == SCOUTS ? 2 : 1))
        pen->memory += tap_story_add(&f->story, r, &pen->scratch);
    f->fresh = true;
    f->over |= r->is_conn;
    if (f->over && !f->chosen)
        pen->dead += f->waiting_bytes;
    drop_if_over(pen, f);
    if (pen->dead > pen->conf.memory_max / DEAD_SHARE)
        sweep(pen);
}

static void pen_secret_id(void *ctx, struct tap_conn *conn, const uint8_t *bytes)
{
    struct tap_pen *pen = ctx;
    if (pen->mode == KNOWS)
        return;
    struct flow *f = flow_of(pen, conn->flow->number);
    if (f->ids == TAP_PEN_IDS)
        return;
    f->id = realloc(f->id, (f->ids + 1u) * sizeof *f->id);
    nu_assert(f->id != NULL);
    struct tap_key_id *id = &f->id[f->ids++];
    *id = (struct tap_key_id){.written = 0};
    memcpy(id->bytes, bytes, sizeof id->bytes);
    pen->memory += sizeof *id;
    f->keys_had = 0;
}

static void pen_finish(void *ctx)
{
    struct tap_pen *pen = ctx;
    if (pen->mode == SCOUTS)
        return;
    for (struct nu_list *node; (node = nu_list_pop(&pen->held));)
        release(pen, nu_container(node, struct held, node));
    if (!pen->file && !pen->conf.target.file_bytes && !pen->conf.target.file_ns)
        begin_file(pen, pen->now_ns);
    flush(pen);
}

/* What has waited long enough is written, up to the disk: somebody may look at it. */
static void pen_tick(void *ctx, int64_t now_ns)
{
    struct tap_pen *pen = ctx;
    pen->now_ns = now_ns > pen->now_ns ? now_ns : pen->now_ns;
    settle(pen);
    flush(pen);
}

const struct tap_sink tap_pen_sink = {.packet = pen_packet,
                                      .any = pen_any,
                                      .secret_id = pen_secret_id,
                                      .tick = pen_tick,
                                      .finish = pen_finish};

/* --- the whole --- */

bool tap_pen_failed(const struct tap_pen *pen)
{
    return pen->failed;
}

uint64_t tap_pen_missing(const struct tap_pen *pen)
{
    return pen->missing;
}

static void drop_flows(struct tap_pen *pen)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct flow *f = pen->bucket[i], *next; f; f = next) {
            next = f->next;
            drop_flow(pen, f);
        }
}

void tap_pen_scout(struct tap_pen *pen, struct tap *tap)
{
    pen->mode = SCOUTS;
    tap_pen_attach(pen, tap);
}

void tap_pen_know(struct tap_pen *pen)
{
    bool too_many = pen->memory > pen->conf.memory_max;
    pen->mode = too_many ? WAITS : KNOWS;
    if (too_many)
        drop_flows(pen);
}

static void drop_all(struct tap_pen *pen)
{
    pen->failed = true; /* nothing is written any more */
    for (struct nu_list *node; (node = nu_list_pop(&pen->held));)
        release(pen, nu_container(node, struct held, node));
    drop_flows(pen);
}

bool tap_pen_close(struct tap_pen *pen)
{
    if (!pen)
        return true;
    bool fine = tap_outfile_close(pen->to) && !pen->failed;
    drop_all(pen);
    nu_capture_out_free(&pen->out);
    tap_out_free(&pen->scratch);
    free(pen->interface);
    free(pen);
    return fine;
}
