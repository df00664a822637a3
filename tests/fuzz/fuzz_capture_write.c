/* A capture that is read and written again: what the writer makes of any packets and secrets, the
 * reader reads as the same. The input is the file; its first byte chooses comments and directions.
 */
#include "core/assert.h"
#include "protocols/capture/capture.h"
#include "protocols/capture/write.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define EVENTS_MAX 512

/* What was put, to compare; the bytes are the input's. */
struct put {
    struct nu_capture_event event[EVENTS_MAX];
    unsigned count;
    struct nu_capture_out out;
    uint32_t links; /* described: each event of another link type has a new interface */
    uint32_t link;
};

static void put_packet(struct put *p, const struct nu_capture_event *ev, uint8_t choice)
{
    if (!p->links || p->link != ev->link) {
        nu_capture_put_interface(&p->out, ev->link, 0, choice & 1 ? "eth0" : NULL);
        p->link = ev->link;
        p->links++;
    }
    struct nu_capture_packet packet = {
        .interface = p->links - 1,
        .frame = {ev->data, ev->len},
        .wire_len = ev->wire_len,
        .time_ns = ev->time_ns,
        .way = choice & 2 ? NU_CAPTURE_OUT : NU_CAPTURE_WAY_UNKNOWN
    };
    if (choice & 4)
        packet.comment = packet.frame;
    size_t before = p->out.len, room = nu_capture_packet_room(&packet);
    nu_capture_put_packet(&p->out, &packet);
    nu_assert(p->out.len - before <= room);
}

static void put_all(struct put *p, const uint8_t *data, size_t len)
{
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    size_t used;
    uint8_t choice = len ? *data : 0;
    nu_capture_put_section(&p->out, choice & 8 ? "fuzz" : NULL);
    while (p->count < EVENTS_MAX && p->links < NU_CAPTURE_INTERFACES &&
           !nu_capture_next(c, data, len, &used, &ev)) {
        data += used;
        len -= used;
        p->event[p->count++] = ev;
        if (ev.kind == NU_CAPTURE_SECRETS)
            nu_capture_put_secrets(&p->out, (struct nu_piece){ev.data, ev.len});
        else
            put_packet(p, &ev, (uint8_t)(choice + p->count));
    }
    nu_capture_free(c);
}

static void compare(const struct nu_capture_event *is, const struct nu_capture_event *was)
{
    nu_assert(is->kind == was->kind && is->len == was->len && is->wire_len == was->wire_len);
    nu_assert(!is->len || memcmp(is->data, was->data, is->len) == 0);
    if (is->kind == NU_CAPTURE_PACKET)
        nu_assert(is->link == was->link && is->time_ns == (was->time_ns > 0 ? was->time_ns : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct put *p = calloc(1, sizeof *p);
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    size_t at = 0, used;
    unsigned count = 0;
    nu_assert(p != NULL);
    put_all(p, data, len);
    while (!nu_capture_next(c, p->out.data + at, p->out.len - at, &used, &ev)) {
        at += used;
        nu_assert(count < p->count);
        compare(&ev, &p->event[count++]);
    }
    at += used;
    nu_assert(count == p->count && nu_capture_may_end(c, p->out.len - at));
    nu_capture_free(c);
    nu_capture_out_free(&p->out);
    free(p);
    return 0;
}
