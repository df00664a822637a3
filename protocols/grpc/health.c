/* Messages of gRPC's health service; see health.h. The wire format is Protocol Buffers' (tags,
 * varints), of which these two messages need a page. */
#include "protocols/grpc/health.h"

#include "core/assert.h"

#include <stdbool.h>
#include <string.h>

#define PREFIX 5 /* flag of compression, length */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

const char *nu_grpc_serving_str(enum nu_grpc_serving serving)
{
    static const char *const names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    nu_assert((unsigned)serving < NU_GRPC_SERVING_COUNT);
    return names[serving];
}

size_t nu_grpc_health_write(const char *service, uint8_t out[static NU_GRPC_HEALTH_MAX_BYTES])
{
    size_t len = strlen(service), at = PREFIX;
    nu_assert(len <= NU_GRPC_HEALTH_SERVICE_MAX);
    if (len > 0)
        out[at++] = 1 << 3 | WIRE_BYTES;
    if (len > 127)
        out[at++] = (uint8_t)(len & 127) | 128;
    if (len > 0) {
        out[at++] = (uint8_t)(len > 127 ? len >> 7 : len);
        memcpy(out + at, service, len);
        at += len;
    }
    size_t message = at - PREFIX;
    memcpy(out, (uint8_t[]){0, 0, 0, (uint8_t)(message >> 8), (uint8_t)message}, PREFIX);
    return at;
}

struct reader {
    const uint8_t *at, *end;
};

static bool read_varint(struct reader *r, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        *out |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128))
            return true;
    }
    return false;
}

static bool skip(struct reader *r, uint64_t bytes)
{
    if (bytes > (uint64_t)(r->end - r->at))
        return false;
    r->at += bytes;
    return true;
}

/* One field: the status, or one that is passed over. */
static bool read_field(struct reader *r, uint64_t *status)
{
    uint64_t tag, value;
    if (!read_varint(r, &tag) || tag >> 3 == 0)
        return false;
    switch (tag & 7) {
    case WIRE_VARINT:
        if (!read_varint(r, &value))
            return false;
        if (tag >> 3 == 1)
            *status = value;
        return true;
    case WIRE_64:
        return skip(r, 8);
    case WIRE_32:
        return skip(r, 4);
    case WIRE_BYTES:
        return read_varint(r, &value) && skip(r, value);
    default:
        return false;
    }
}

enum nu_err nu_grpc_health_read(const uint8_t *body, size_t len, enum nu_grpc_serving *serving)
{
    uint64_t status = 0;
    *serving = NU_GRPC_SERVING_UNKNOWN;
    if (len < PREFIX || body[0] != 0)
        return NU_ERR_SYNTAX;
    size_t said = (size_t)body[1] << 24 | (size_t)body[2] << 16 | (size_t)body[3] << 8 | body[4];
    struct reader r = {body + PREFIX, body + len};
    if (said != len - PREFIX)
        return NU_ERR_SYNTAX;
    while (r.at < r.end)
        if (!read_field(&r, &status))
            return NU_ERR_SYNTAX;
    if (status < NU_GRPC_SERVING_COUNT)
        *serving = (enum nu_grpc_serving)status;
    return NU_OK;
}
