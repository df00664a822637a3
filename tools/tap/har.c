/* The archive of har.h: its front, an entry each, its end. What an entry's message is made of is in
 * har_message.c. */
#include "tools/tap/har.h"

#include "tools/nuncio/command.h"
#include "tools/tap/guard.h"
#include "tools/tap/har_priv.h"
#include "tools/tap/write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS 1e6

/* --- times --- */

/* "2023-11-14T22:13:20.003Z" */
static void put_started(struct tap_har *h, int64_t ns)
{
    char date[32] = "1970-01-01T00:00:00", text[64];
    struct tm tm;
    time_t second = (time_t)(ns / NS_PER_S);
    if (ns < 0 || !gmtime_r(&second, &tm) || tm.tm_year > 8099 ||
        !strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm))
        ns = 0;
    snprintf(text, sizeof text, "%s.%06uZ", date, (unsigned)(ns % NS_PER_S / 1000));
    har_str(h, "startedDateTime", text);
}

static void put_ms(struct tap_har *h, const char *key, int64_t ns)
{
    char text[48];
    snprintf(text, sizeof text, "%.3f", (double)ns / NS_PER_MS);
    har_key(h, key);
    tap_put(&h->out, text);
}

static int64_t at_least_0(int64_t ns)
{
    return ns > 0 ? ns : 0;
}

/* What is not known counts as no time; `time` is the sum, as the format wants it. */
static void put_times(struct tap_har *h, const struct tap_exchange *x)
{
    const struct tap_message *request = &x->message[0], *response = &x->message[1];
    bool both = request->first_ns && response->first_ns;
    int64_t send = request->first_ns ? at_least_0(request->last_ns - request->first_ns) : 0;
    int64_t ttfb = both ? at_least_0(response->first_ns - request->first_ns) : send;
    if (send > ttfb)
        send = ttfb; /* an answer before the request's end */
    int64_t wait = ttfb - send;
    int64_t receive = response->first_ns ? at_least_0(response->last_ns - response->first_ns) : 0;
    put_ms(h, "time", send + wait + receive);
    har_open(h, "timings", '{');
    har_number(h, "blocked", -1);
    har_number(h, "dns", -1);
    har_number(h, "connect", -1);
    har_number(h, "ssl", -1);
    put_ms(h, "send", send);
    put_ms(h, "wait", wait);
    put_ms(h, "receive", receive);
    har_close(h, '}');
}

/* --- an entry --- */

static void put_server(struct tap_har *h, const struct tap_conn *conn)
{
    struct nu_logbuf *text = &h->scratch.buf;
    nu_logbuf_reset(text);
    nu_logbuf_addr(text, nu_flow_from(conn->flow, 1), false);
    har_text(h, "serverIPAddress", nu_text(text->data, text->len));
}

static void put_comment(struct tap_har *h, const struct tap_exchange *x)
{
    char text[TAP_NOTE_MAX + 64];
    snprintf(text, sizeof text, "#%" PRIu64 ".%" PRIu64 "%s%s", x->conn->flow->number, x->number,
             *x->note.text ? "; " : "", x->note.text);
    har_str(h, "comment", text);
}

static void har_exchange(void *ctx, const struct tap_exchange *x)
{
    struct tap_har *h = ctx;
    char number[32];
    int64_t first = x->message[0].first_ns ? x->message[0].first_ns : x->message[1].first_ns;
    if (h->only.flow &&
        (x->conn->flow->number != h->only.flow || (h->only.number && x->number != h->only.number)))
        return;
    h->comma = h->entries++ > 0;
    har_open(h, NULL, '{');
    put_started(h, first ? first : x->conn->flow->first_ns);
    put_times(h, x);
    har_put_request(h, x);
    har_put_response(h, x);
    har_open(h, "cache", '{');
    har_close(h, '}');
    put_server(h, x->conn);
    snprintf(number, sizeof number, "%" PRIu64, x->conn->flow->number);
    har_str(h, "connection", number);
    put_comment(h, x);
    har_close(h, '}');
    tap_put_char(&h->out, '\n');
    tap_out_flush(&h->out);
}

static void har_finish(void *ctx)
{
    struct tap_har *h = ctx;
    tap_put(&h->out, "]}}\n");
    tap_out_flush(&h->out);
}

const struct tap_sink tap_har_sink = {.exchange = har_exchange, .finish = har_finish};

/* --- the file --- */

static bool complain(const struct tap_har *h)
{
    if (errno == EEXIST)
        fprintf(stderr, "nuncio-tap: %s: is the file that is read\n", h->path);
    else
        fprintf(stderr, "nuncio-tap: %s: cannot write: %s\n", h->path, strerror(errno));
    return false;
}

/* Readable by its owner: it is a diary of what others did. -1: errno, or EEXIST for what is read.
 */
static int open_file(const struct tap_har *h)
{
    uid_t uid;
    gid_t gid;
    struct stat st;
    int fd = open(h->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), error = 0;
    if (fd < 0)
        return -1;
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (tap_is_same_file(fd, h->source))
        error = EEXIST;
    else if (regular &&
             (ftruncate(fd, 0) != 0 || (tap_guard_owner(&uid, &gid) && fchown(fd, uid, gid) != 0)))
        error = errno;
    if (!error)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

bool tap_har_open(struct tap_har *h)
{
    bool out = strcmp(h->path, "-") == 0;
    int fd = out ? STDOUT_FILENO : open_file(h);
    h->out.file = out ? stdout : fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!h->out.file)
        return complain(h);
    tap_put(&h->out,
            "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"nuncio-tap\",\"version\":"
            "\"" NU_VERSION "\"},\"pages\":[],\"entries\":[\n");
    tap_out_flush(&h->out);
    return true;
}

bool tap_har_close(struct tap_har *h)
{
    bool fine = true;
    if (h->out.file && h->out.file != stdout) {
        bool bad = fflush(h->out.file) != 0 || ferror(h->out.file);
        fine = !bad || complain(h);
        fclose(h->out.file);
    }
    h->out.file = NULL;
    tap_out_free(&h->out);
    tap_out_free(&h->scratch);
    return fine;
}
