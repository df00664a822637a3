/* Ends that behave like sockets; see endpoint.h. They face bytes; they see all that comes; they
 * keep what the window does not take, as slices (high water plus one event); END waits for it; they
 * hold from high water to half; close cancels both tasks. */
#include "tests/filters/endpoint.h"

#include "core/assert.h"
#include "tests/filters/filters.h"

#include <stdlib.h>

struct piece {
    struct piece *next;
    struct nu_slice data;
};

struct end {
    struct nu_filter f;
    struct nu_test_end *ep;
    struct nu_task pump, write;
    struct piece *first, **last;
    size_t high_water;
    enum nu_dir out;
};

struct nu_test_end nu_endpoint_idle(void)
{
    return (struct nu_test_end){.window = UINT64_MAX};
}

/* Bytes depend on their place alone, so that loss, doubling and reordering all show. */
static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static struct nu_slice make_data(struct end *e, size_t len)
{
    struct nu_block *b = nu_block_get(nu_filter_loop(&e->f)->blocks, len);
    for (size_t i = 0; i < len; i++)
        b->data[i] = byte_at(e->ep->sent + i);
    struct nu_slice s = nu_block_freeze(b, len);
    nu_block_unref(b);
    return s;
}

static void send_end(struct end *e)
{
    e->ep->sent_end = true;
    nu_forward_end(&e->f, e->out, nu_result_of(e->ep->end));
}

static void pump(struct nu_filter *f)
{
    struct end *e = (struct end *)f;
    struct nu_test_end *ep = e->ep;
    size_t chunk = ep->chunk ? ep->chunk : 1000;
    while (!ep->asleep && !ep->sent_end && !nu_chain_ended(f->chain)) {
        if (!ep->to_send && ep->end == NU_CAUSE_NONE)
            return;
        if (nu_blocked(f, e->out)) {
            ep->asleep = true;
            return;
        }
        if (!ep->to_send) {
            send_end(e);
            return;
        }
        struct nu_slice s = make_data(e, ep->to_send < chunk ? ep->to_send : chunk);
        ep->sent += s.len;
        ep->to_send -= s.len;
        ep->sent_hash = nu_test_hash(ep->sent_hash, s.data, s.len);
        nu_forward_data(f, e->out, s);
    }
}

static void run_pump(struct nu_task *task)
{
    nu_call(&nu_container(task, struct end, pump)->f, pump);
}

static void put_out(struct end *e, size_t n)
{
    struct nu_test_end *ep = e->ep;
    struct piece *p = e->first;
    ep->got_hash = nu_test_hash(ep->got_hash, p->data.data, n);
    for (size_t i = 0; i < n; i++)
        ep->wrong += p->data.data[i] != byte_at(ep->got + i);
    ep->got += n;
    ep->window -= n;
    ep->waiting -= n;
    struct nu_slice gone = nu_slice_split(&p->data, n);
    nu_slice_drop(&gone);
    if (p->data.len)
        return;
    nu_slice_drop(&p->data);
    e->first = p->next;
    if (!e->first)
        e->last = &e->first;
    free(p);
}

static void write_out(struct nu_filter *f)
{
    struct end *e = (struct end *)f;
    struct nu_test_end *ep = e->ep;
    if (e->first && ep->window)
        ep->writes++;
    while (e->first && (ep->window || !e->first->data.len))
        put_out(e, e->first->data.len < ep->window ? e->first->data.len : ep->window);
    if (ep->waiting <= e->high_water / 2)
        nu_release(f, nu_opposite(e->out));
    if (!e->first && ep->got_end && !ep->done) {
        ep->done = true;
        nu_done(f, nu_opposite(e->out));
    }
}

static void run_write(struct nu_task *task)
{
    nu_call(&nu_container(task, struct end, write)->f, write_out);
}

static enum nu_open end_open(struct nu_filter *f, const void *conf)
{
    struct end *e = (struct end *)f;
    struct nu_test_end *ep = (struct nu_test_end *)conf;
    e->ep = ep;
    e->out = f->type->face[0] == NU_FACE_NONE ? NU_FWD : NU_REV;
    e->pump.run = run_pump;
    e->write.run = run_write;
    e->last = &e->first;
    e->high_water = ep->high_water ? ep->high_water : 4000;
    ep->self = f;
    ep->opened++;
    ep->sent_hash = ep->got_hash = NU_HASH_START;
    return NU_OPEN;
}

static void end_start(struct nu_filter *f)
{
    nu_loop_ready(nu_filter_loop(f), &((struct end *)f)->pump);
}

static void end_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct end *e = (struct end *)f;
    struct nu_test_end *ep = e->ep;
    nu_assert(!ep->got_end);
    if (ev->kind == NU_END) {
        ep->got_end = true;
        ep->result = ev->u.end;
    } else if (ev->kind == NU_DATA) {
        struct piece *p = calloc(1, sizeof *p);
        nu_assert(p != NULL);
        p->data = ev->u.data;
        nu_slice_keep(nu_filter_loop(f)->blocks, &p->data);
        *e->last = p;
        e->last = &p->next;
        ep->waiting += p->data.len;
    } else {
        nu_ev_free(ev);
    }
    if (ep->waiting > ep->most_waiting)
        ep->most_waiting = ep->waiting;
    if (ep->waiting >= e->high_water)
        nu_hold(f, dir);
    nu_loop_flush(nu_filter_loop(f), &e->write);
    if (ep->eager)
        pump(f);
}

static void end_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct end *e = (struct end *)f;
    if (dir != e->out)
        return;
    e->ep->asleep = !go;
    if (go)
        nu_loop_ready(nu_filter_loop(f), &e->pump);
}

static void end_close(struct nu_filter *f)
{
    struct end *e = (struct end *)f;
    nu_task_cancel(&e->pump);
    nu_task_cancel(&e->write);
    for (struct piece *p = e->first, *next; p; p = next) {
        next = p->next;
        nu_slice_drop(&p->data);
        free(p);
    }
    e->ep->self = NULL;
    e->ep->closed++;
}

#define END_TYPE                                                                                   \
    .size = sizeof(struct end), .flags = NU_F_INTERNAL | NU_F_TEST, .open = end_open,              \
    .start = end_start, .event = end_event, .flow = end_flow, .close = end_close

const struct nu_filter_type nu_source = {
    .name = "source",
    .doc = "The left end of a test.",
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_BYTES),
    .sees = {0, NU_SEES_ALL},
    END_TYPE,
};

const struct nu_filter_type nu_sink = {
    .name = "sink",
    .doc = "The right end of a test.",
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_NONE),
    .sees = {NU_SEES_ALL, 0},
    END_TYPE,
};

void nu_endpoint_send(struct nu_test_end *ep, uint64_t bytes)
{
    ep->to_send += bytes;
    if (ep->self)
        nu_loop_ready(nu_filter_loop(ep->self), &((struct end *)ep->self)->pump);
}

void nu_endpoint_finish(struct nu_test_end *ep, enum nu_cause cause)
{
    ep->end = cause;
    nu_endpoint_send(ep, 0);
}

void nu_endpoint_open(struct nu_test_end *ep, uint64_t window)
{
    ep->window = window;
    if (ep->self)
        nu_loop_flush(nu_filter_loop(ep->self), &((struct end *)ep->self)->write);
}
