/* Bodies through coders; see recode.h. Output is made a block at a time; while the way is blocked
 * the filter holds, and of its own it has the rest of one event in hand. On the stream's worker. */
#include "l7/filters/recode.h"

#include "core/assert.h"

const char *recode_fault_str(enum recode_fault fault)
{
    static const char *const names[] = {"bad", "too_large", "ratio"};
    nu_assert((unsigned)fault < sizeof names / sizeof *names);
    return names[fault];
}

/* One block of output, at most. */
static enum nu_code_state one_block(struct recode *r)
{
    struct nu_block *block = nu_block_get(nu_filter_loop(r->filter)->blocks, RECODE_BLOCK);
    size_t room = nu_block_room(block);
    struct nu_code_io io = {r->in.data, r->in.len, nu_block_tail(block), room};
    enum nu_code_state state = nu_code(r->coder, (enum nu_code_what)r->what, &io);
    size_t made = room - io.out_len;
    r->taken += r->in.len - io.in_len;
    r->made += made;
    r->in.data = io.in;
    r->in.len = io.in_len;
    if (made)
        nu_forward_data(r->filter, (enum nu_dir)r->dir, nu_block_freeze(block, made));
    nu_block_unref(block);
    return state;
}

static bool is_over(struct recode *r)
{
    bool large = r->max_made && r->made > r->max_made;
    bool ratio = r->max_ratio && r->made > RECODE_RATIO_FROM && r->made / r->max_ratio > r->taken;
    r->fault_is = (uint8_t)(large ? RECODE_TOO_LARGE : RECODE_RATIO);
    return large || ratio;
}

static void on_fault(struct recode *r)
{
    recode_free(r);
    r->fault(r->filter);
}

static void wait(struct recode *r)
{
    nu_slice_keep(nu_filter_loop(r->filter)->blocks, &r->in);
    nu_hold(r->filter, (enum nu_dir)r->dir);
}

static void forward_last(struct recode *r)
{
    struct nu_ev ev = r->last;
    r->has_last = false;
    r->finished = r->finished || ev.kind == NU_END; /* cut or not, nothing follows */
    nu_forward(r->filter, (enum nu_dir)r->dir, &ev);
}

/* Until what was asked for is done, or the way is blocked. */
static void run(struct recode *r)
{
    struct nu_filter *f = r->filter;
    enum nu_code_state state = NU_CODE_FULL;
    while (state == NU_CODE_FULL) {
        if (nu_blocked(f, (enum nu_dir)r->dir)) {
            wait(r);
            return;
        }
        state = one_block(r);
        if (nu_chain_ended(f->chain))
            return;
        if (state == NU_CODE_BAD || is_over(r)) {
            r->fault_is = state == NU_CODE_BAD ? RECODE_BAD : r->fault_is;
            on_fault(r);
            return;
        }
    }
    r->finished = state == NU_CODE_END;
    nu_slice_drop(&r->in);
    nu_release(f, (enum nu_dir)r->dir);
    if (r->has_last)
        forward_last(r);
}

void recode_data(struct recode *r, struct nu_slice data)
{
    r->in = data;
    r->what = NU_CODE_RUN;
    run(r);
}

void recode_last(struct recode *r, struct nu_ev *ev)
{
    bool whole = ev->kind != NU_END || ev->u.end.how == NU_CLEAN;
    r->last = *ev;
    r->has_last = true;
    r->what = whole ? NU_CODE_FINISH : NU_CODE_FLUSH;
    if (r->finished)
        forward_last(r);
    else
        run(r);
}

void recode_flush(struct recode *r)
{
    if (r->finished || !r->coder || r->has_last || nu_bit(r->filter, NU_B_HOLD, r->dir))
        return;
    r->what = NU_CODE_FLUSH;
    run(r);
}

void recode_go(struct recode *r)
{
    if (r->coder && nu_bit(r->filter, NU_B_HOLD, r->dir))
        run(r);
}

void recode_free(struct recode *r)
{
    nu_coder_free(r->coder);
    r->coder = NULL;
    nu_slice_drop(&r->in);
}
