/* Fields and health messages of gRPC. Input: a letter says what the rest is. What was read as a
 * timeout and written again is the same, but for rounding; a message that was written may stand in
 * a field and has no bytes that must not; reading a health message never leaves its bytes. */
#include "core/assert.h"
#include "protocols/grpc/grpc.h"
#include "protocols/grpc/health.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_timeout(struct nu_arena *arena, struct nu_text value)
{
    int64_t ms, again;
    if (nu_grpc_timeout_read(value, &ms) != NU_OK) {
        nu_assert(ms == 0);
        return;
    }
    nu_assert(nu_grpc_timeout_read(nu_grpc_timeout_write(arena, ms), &again) == NU_OK);
    nu_assert(again <= ms && again >= ms - ms / 1000 - 1);
}

static void write_message(struct nu_arena *arena, struct nu_text text)
{
    struct nu_text value = nu_grpc_message_write(arena, text);
    nu_assert(nu_http_value_ok(value) && value.len <= (size_t)3 * NU_GRPC_MESSAGE_MAX_BYTES);
    for (size_t i = 0; i < value.len; i++)
        nu_assert(value.at[i] >= 0x20 && value.at[i] <= 0x7e);
}

static void read_type(struct nu_arena *arena, struct nu_text value)
{
    struct nu_http_head *head = nu_http_head_new(arena);
    if (nu_http_add_known(head, NU_HDR_CONTENT_TYPE, value) == NU_OK && nu_grpc_is(head))
        nu_assert(value.len >= 16);
}

static void read_status(struct nu_text value)
{
    int status = nu_grpc_status_read(value);
    nu_assert(status >= -1 && status <= 999);
    if (status >= 0)
        nu_assert(nu_grpc_status_of_http((unsigned)status) != NU_GRPC_OK);
    if (status < 0 || status >= NU_GRPC_STATUS_COUNT)
        return;
    nu_assert(*nu_grpc_status_str((enum nu_grpc_status)status));
    nu_assert(*nu_grpc_status_snake((enum nu_grpc_status)status));
}

static void read_health(const uint8_t *body, size_t len)
{
    enum nu_grpc_serving serving;
    if (nu_grpc_health_read(body, len, &serving) != NU_OK)
        nu_assert(serving == NU_GRPC_SERVING_UNKNOWN);
    nu_assert(*nu_grpc_serving_str(serving));
}

/* What is asked is five bytes, and a field of bytes behind them. */
static void write_health(struct nu_arena *arena, struct nu_text name)
{
    uint8_t out[NU_GRPC_HEALTH_MAX_BYTES];
    enum nu_grpc_serving serving;
    if (name.len > NU_GRPC_HEALTH_SERVICE_MAX || memchr(name.at, 0, name.len))
        return;
    size_t len = nu_grpc_health_write(nu_arena_strndup(arena, name.at, name.len), out);
    nu_assert(nu_grpc_health_read(out, len, &serving) == NU_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct nu_arena *arena = nu_arena_new(1024);
    char *copy = malloc(len); /* of that size, so that a byte too far is noticed */
    nu_assert(copy != NULL);
    memcpy(copy, data + 1, len - 1);
    struct nu_text rest = nu_text(copy, len - 1);
    if (data[0] == 't')
        read_timeout(arena, rest);
    else if (data[0] == 'm')
        write_message(arena, rest);
    else if (data[0] == 'c')
        read_type(arena, rest);
    else if (data[0] == 's')
        read_status(rest);
    else if (data[0] == 'w')
        write_health(arena, rest);
    else
        read_health((const uint8_t *)copy, len - 1);
    free(copy);
    nu_arena_free(arena);
    return 0;
}
