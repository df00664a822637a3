/* What pcap and pcapng share: the window, errors, interfaces; see capture.h. */
#include "protocols/capture/capture_priv.h"

#include "core/assert.h"

#include <stdlib.h>

#define MAGIC_BYTES 4
#define MAGIC_NG    0x0a0d0d0au

struct nu_capture *nu_capture_new(void)
{
    struct nu_capture *c = calloc(1, sizeof *c);
    nu_assert(c != NULL);
    c->error = "";
    c->wants = MAGIC_BYTES;
    return c;
}

void nu_capture_free(struct nu_capture *c)
{
    if (!c)
        return;
    free(c->interface);
    free(c);
}

enum nu_err capture_fail(struct nu_capture *c, enum nu_err err, const char *why)
{
    c->error = why;
    return err;
}

enum nu_err capture_more(struct nu_capture *c, size_t needs)
{
    c->wants = needs;
    return NU_MORE;
}

struct capture_interface *capture_add(struct nu_capture *c)
{
    if (c->count == NU_CAPTURE_INTERFACES) {
        capture_fail(c, NU_ERR_LIMIT, "more than 1024 interfaces");
        return NULL;
    }
    if (!c->interface) {
        c->interface = calloc(NU_CAPTURE_INTERFACES, sizeof *c->interface);
        nu_assert(c->interface != NULL);
    }
    struct capture_interface *i = &c->interface[c->count++];
    *i = (struct capture_interface){0};
    return i;
}

static enum nu_err begin(struct nu_capture *c, const uint8_t *bytes, size_t len, size_t *used)
{
    uint32_t magic;
    if (len < MAGIC_BYTES)
        return capture_more(c, MAGIC_BYTES);
    memcpy(&magic, bytes, sizeof magic);
    if (magic != MAGIC_NG)
        return pcap_begin(c, bytes, len, used);
    c->record = pcapng_record;
    return NU_OK;
}

enum nu_err nu_capture_next(struct nu_capture *c, const uint8_t *bytes, size_t len, size_t *used,
                            struct nu_capture_event *out)
{
    *used = 0;
    if (!c->record) {
        enum nu_err err = begin(c, bytes, len, used);
        if (err)
            return err;
    }
    enum nu_err err;
    do {
        size_t n = 0;
        err = c->record(c, bytes + *used, len - *used, &n, out);
        *used += n;
    } while (err == NU_NOT_THIS);
    return err;
}

size_t nu_capture_wants(const struct nu_capture *c)
{
    return c->wants;
}

const char *nu_capture_error(const struct nu_capture *c)
{
    return c->error;
}

bool nu_capture_may_end(const struct nu_capture *c, size_t left)
{
    return c->record && left == 0;
}

uint32_t nu_capture_snaplen(const struct nu_capture *c)
{
    return c->snaplen;
}
