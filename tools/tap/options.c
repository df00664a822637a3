/* Options by a table; see options.h. */
#include "tools/tap/options.h"

#include "tools/tap/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OPT_KEYLOG = 256,
    OPT_JSON,
    OPT_STATS,
    OPT_FOLLOW,
    OPT_CURL,
    OPT_WHERE,
    OPT_FIELDS,
    OPT_COLOR,
    OPT_MEMORY,
    OPT_SECRETS,
    OPT_DOCS,
    OPT_HAR,
    OPT_REPLAY,
    OPT_DIFF,
    OPT_PACE,
    OPT_JOIN,
};

static const struct nu_option options[] = {
    {"interface",    "NAME",      'i',         "capture there (\"any\": everywhere); asks for rights"         },
    {"read",         "FILE",      'r',         "read a pcap or pcapng file; \"-\": the standard input"        },
    {"snaplen",      "BYTES",     's',         "look at so many bytes of each packet"                         },
    {"keylog",       "FILE",      OPT_KEYLOG,
     "secrets of TLS connections (SSLKEYLOGFILE), read on\n"
     "while it grows; repeatable"                                                                             },
    {"verbose",      NULL,        'v',         "also header fields; twice: also bodies"                       },
    {"json",         NULL,        OPT_JSON,    "an object a line"                                             },
    {"stats",        NULL,        OPT_STATS,   "instead of lines a table at the end, and on Ctrl-C"           },
    {"follow",       "ID",        OPT_FOLLOW,  "one connection (17) or exchange (17.3), with all of it"       },
    {"join",         NULL,        OPT_JOIN,    "both sides of a proxy in one line"                            },
    {"curl",         "ID",        OPT_CURL,    "a curl command that sends that request again"                 },
    {"where",        "CONDITION", OPT_WHERE,   "only what fits: 'status >= 500 && total > 100ms'"             },
    {"fields",       NULL,        OPT_FIELDS,  "what conditions can ask for"                                  },
    {"write",        "FILE",      'w',         "packets, their keys and what they are, as pcapng"             },
    {"file-size",    "SIZE",      'C',
     "begin another file (NAME_00002_TIME) beyond; 10 is\n"
     "10 MB"                                                                                                  },
    {"file-time",    "TIME",      'G',         "begin another file after so long: 60s, 1h"                    },
    {"files",        "N",         'W',         "keep so many of them, delete the oldest"                      },
    {"har",          "FILE",      OPT_HAR,     "requests and responses as an HTTP archive"                    },
    {"replay",       "URL",       OPT_REPLAY,  "send the requests again, to http://HOST:PORT"                 },
    {"pace",         "PACE",      OPT_PACE,    "of --replay: 1x as it was, 2x, 100/s, max"                    },
    {"diff",         NULL,        OPT_DIFF,    "of --replay: show what differs only; fails if something\ndoes"},
    {"show-secrets", NULL,        OPT_SECRETS, "credentials and cookies as they are, not ***"                 },
    {"color",        "WHEN",      OPT_COLOR,   "auto, always or never"                                        },
    {"max-memory",   "SIZE",      OPT_MEMORY,  "64MiB; what does not fit is given up and counted"             },
    {"version",      NULL,        'V',         "version, and those of the libraries"                          },
    {"docs",         "PAGE",      OPT_DOCS,    NULL                                                           },
    {NULL,           NULL,        0,           NULL                                                           },
};

const struct nu_command tap_command = {
    .program = "nuncio-tap",
    .name = "nuncio-tap",
    .summary = "shows what flows: requests, responses, messages; inside TLS with its keys",
    .usage = "-r FILE [OPTIONS] [EXPRESSION]\n-i INTERFACE [OPTIONS] [EXPRESSION]",
    .options = options,
    .help =
        "EXPRESSION chooses packets as tcpdump's does (pcap-filter(7)).\n"
        "\n"
        "  nuncio-tap -i lo 'tcp port 8443' --keylog keys.txt\n"
        "  nuncio-tap -r capture.pcapng -v\n"
        "  tcpdump -i eth0 -w - | nuncio-tap -r -\n"
        "\n"
        "Exit codes: 0 fine, 1 the capture could not be read to its end, something could not be\n"
        "written or was not answered, or --diff found a difference, 2 wrong usage.\n",
};

/* --- values --- */

/* "64MiB", "1GiB", "500000". */
static bool parse_size(const char *text, size_t *out)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {
        {"",    0 },
        {"B",   0 },
        {"KiB", 10},
        {"MiB", 20},
        {"GiB", 30}
    };
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9')
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0 && n <= (1ull << 40) >> units[i].shift) {
            *out = (size_t)(n << units[i].shift);
            return true;
        }
    return false;
}

/* "60s", "5m", "1h", "90". */
static bool parse_time(const char *text, int64_t *ns)
{
    static const struct {
        const char *unit;
        unsigned seconds;
    } units[] = {
        {"",  1   },
        {"s", 1   },
        {"m", 60  },
        {"h", 3600}
    };
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || !n || n > 10u * 365 * 24 * 3600)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0) {
            *ns = (int64_t)n * units[i].seconds * 1000000000;
            return true;
        }
    return false;
}

/* "17", "17.3", with or without "#". */
static bool parse_id(const char *text, struct tap_id *out)
{
    char *end;
    text += *text == '#';
    if (*text < '1' || *text > '9')
        return false;
    out->flow = strtoull(text, &end, 10);
    out->number = 0;
    if (*end == '.' && end[1] >= '1' && end[1] <= '9')
        out->number = strtoull(end + 1, &end, 10);
    return !*end;
}

static enum nu_exit take_id(const struct nu_args *args, struct tap_id *out, const char *option)
{
    if (parse_id(args->value, out))
        return NU_EXIT_OK;
    return nu_usage_error(args, "%s: \"%s\" is no id like 17 or 17.3", option, args->value);
}

static enum nu_exit take_memory(const struct nu_args *args, struct tap_options *o)
{
    if (!parse_size(args->value, &o->memory_max))
        return nu_usage_error(args, "--max-memory: \"%s\" is no size like 64MiB", args->value);
    if (o->memory_max < TAP_MEMORY_LEAST)
        return nu_usage_error(args, "--max-memory: at least %uMiB", TAP_MEMORY_LEAST >> 20);
    return NU_EXIT_OK;
}

static enum nu_exit take_snaplen(const struct nu_args *args, struct tap_options *o)
{
    size_t bytes;
    if (!parse_size(args->value, &bytes) || !bytes || bytes > TAP_SNAPLEN_DEFAULT)
        return nu_usage_error(args, "--snaplen: \"%s\" is no number from 1 to %u", args->value,
                              TAP_SNAPLEN_DEFAULT);
    o->snaplen = (unsigned)bytes;
    return NU_EXIT_OK;
}

/* Colors are for people: on a terminal, unless they say no (no-color.org). */
static bool wants_color(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static enum nu_exit take_color(const struct nu_args *args, struct tap_options *o)
{
    if (strcmp(args->value, "always") == 0)
        o->color = true;
    else if (strcmp(args->value, "never") == 0)
        o->color = false;
    else if (strcmp(args->value, "auto") == 0)
        o->color = wants_color();
    else
        return nu_usage_error(args, "--color: \"%s\" is none of auto, always, never", args->value);
    return NU_EXIT_OK;
}

static enum nu_exit take_keylog(const struct nu_args *args, struct tap_options *o)
{
    if (o->keylogs == TAP_KEYLOGS_MAX)
        return nu_usage_error(args, "more than %d key logs", TAP_KEYLOGS_MAX);
    o->keylog[o->keylogs++] = args->value;
    return NU_EXIT_OK;
}

/* A number alone is tcpdump's: millions of bytes. */
static enum nu_exit take_file_size(const struct nu_args *args, struct tap_options *o)
{
    size_t bytes;
    const char *text = args->value;
    if (!parse_size(text, &bytes) || !bytes)
        return nu_usage_error(args, "--file-size: \"%s\" is no size like 64MiB", text);
    o->write.file_bytes = bytes * (text[strspn(text, "0123456789")] ? 1 : 1000000);
    return NU_EXIT_OK;
}

static enum nu_exit take_file_time(const struct nu_args *args, struct tap_options *o)
{
    if (parse_time(args->value, &o->write.file_ns))
        return NU_EXIT_OK;
    return nu_usage_error(args, "--file-time: \"%s\" is no time like 60s", args->value);
}

static enum nu_exit take_files(const struct nu_args *args, struct tap_options *o)
{
    char *end;
    unsigned long n = strtoul(args->value, &end, 10);
    if (*args->value < '1' || *args->value > '9' || *end || n >= TAP_FILES_MAX)
        return nu_usage_error(args, "--files: \"%s\" is no number from 1 to %u", args->value,
                              TAP_FILES_MAX - 1);
    o->write.files = (unsigned)n;
    return NU_EXIT_OK;
}

static enum nu_exit take_pace(const struct nu_args *args, struct tap_options *o)
{
    o->paced = true;
    if (tap_pace_read(args->value, &o->pace))
        return NU_EXIT_OK;
    return nu_usage_error(args, "--pace: \"%s\" is none of 1x, 2x, 100/s, max", args->value);
}

/* A word of the capture expression. */
static enum nu_exit take_word(const struct nu_args *args, struct tap_options *o)
{
    size_t at = strlen(o->expression);
    int n = snprintf(o->expression + at, sizeof o->expression - at, at ? " %s" : "%s", args->value);
    if (n < 0 || at + (size_t)n >= sizeof o->expression)
        return nu_usage_error(args, "the capture expression is longer than %d bytes",
                              TAP_EXPRESSION_MAX - 1);
    return NU_EXIT_OK;
}

static enum nu_exit take_flag(struct tap_options *o, int id)
{
    o->verbose += id == 'v';
    o->version |= id == 'V';
    o->json |= id == OPT_JSON;
    o->stats |= id == OPT_STATS;
    o->show_secrets |= id == OPT_SECRETS;
    o->fields |= id == OPT_FIELDS;
    o->diff |= id == OPT_DIFF;
    o->join |= id == OPT_JOIN;
    return NU_EXIT_OK;
}

/* What is written to files. */
static enum nu_exit take_writing(const struct nu_args *args, struct tap_options *o, int id)
{
    switch (id) {
    case 'w':
        o->write.path = args->value;
        return NU_EXIT_OK;
    case 'C':
        return take_file_size(args, o);
    case 'G':
        return take_file_time(args, o);
    case 'W':
        return take_files(args, o);
    case OPT_HAR:
        o->har = args->value;
        return NU_EXIT_OK;
    case OPT_REPLAY:
        o->replay = args->value;
        return NU_EXIT_OK;
    case OPT_PACE:
        return take_pace(args, o);
    default:
        return take_flag(o, id);
    }
}

static enum nu_exit take(const struct nu_args *args, struct tap_options *o, int id)
{
    switch (id) {
    case NU_ARG_OPERAND:
        return take_word(args, o);
    case 'i':
        o->interface = args->value;
        return NU_EXIT_OK;
    case 'r':
        o->file = args->value;
        return NU_EXIT_OK;
    case 's':
        return take_snaplen(args, o);
    case OPT_KEYLOG:
        return take_keylog(args, o);
    case OPT_WHERE:
        o->where = args->value;
        return NU_EXIT_OK;
    case OPT_FOLLOW:
        return take_id(args, &o->follow, "--follow");
    case OPT_CURL:
        return take_id(args, &o->curl, "--curl");
    case OPT_COLOR:
        return take_color(args, o);
    case OPT_DOCS:
        o->docs = args->value;
        return NU_EXIT_OK;
    case OPT_MEMORY:
        return take_memory(args, o);
    default:
        return take_writing(args, o, id);
    }
}

static enum nu_exit judge_writing(const struct nu_args *args, const struct tap_options *o)
{
    const struct tap_target *w = &o->write;
    bool ring = w->file_bytes || w->file_ns, out = w->path && strcmp(w->path, "-") == 0;
    if (!w->path && (ring || w->files))
        return nu_usage_error(args, "-C, -G and -W are for -w FILE");
    if (w->files && !ring)
        return nu_usage_error(args, "-W: of files that -C SIZE or -G TIME begin");
    if (ring && out)
        return nu_usage_error(args, "-C and -G: the standard output is one file");
    if (out && (o->replay || o->json || o->stats || o->curl.flow))
        return nu_usage_error(args, "-w -: the packets take the standard output");
    if (o->har && strcmp(o->har, "-") == 0 &&
        (out || o->replay || o->json || o->stats || o->curl.flow))
        return nu_usage_error(args, "--har -: the archive takes the standard output");
    return NU_EXIT_OK;
}

static enum nu_exit judge_replay(const struct nu_args *args, const struct tap_options *o)
{
    if (!o->replay && (o->diff || o->paced))
        return nu_usage_error(args, "%s is for --replay URL", o->diff ? "--diff" : "--pace");
    if (!o->replay)
        return NU_EXIT_OK;
    if (o->json || o->stats || o->follow.flow || o->curl.flow)
        return nu_usage_error(args, "--replay has an output of its own; --where chooses requests");
    if (o->interface)
        return nu_usage_error(args, "--replay: of a file, -r FILE");
    return NU_EXIT_OK;
}

/* What does not go together. */
static enum nu_exit judge(const struct nu_args *args, const struct tap_options *o)
{
    if (o->version || o->fields || o->docs)
        return NU_EXIT_OK;
    if (!o->interface == !o->file)
        return nu_usage_error(args, "what to look at? -i INTERFACE or -r FILE");
    if (o->json + o->stats + !!o->follow.flow + !!o->curl.flow > 1)
        return nu_usage_error(args, "one of --json, --stats, --follow, --curl");
    if (o->curl.flow && !o->curl.number)
        return nu_usage_error(args, "--curl: of one request, like 17.3");
    if (o->join && (o->stats || o->follow.flow || o->curl.flow || o->replay))
        return nu_usage_error(args, "--join is for lines and --json");
    enum nu_exit wrong = judge_replay(args, o);
    return wrong ? wrong : judge_writing(args, o);
}

enum nu_exit tap_options_read(struct tap_options *o, int argc, char **argv, bool *leave)
{
    struct nu_args args = {.command = &tap_command, .argc = argc, .argv = argv};
    *o = (struct tap_options){.memory_max = TAP_MEMORY_DEFAULT,
                              .snaplen = TAP_SNAPLEN_DEFAULT,
                              .color = wants_color(),
                              .pace = {.times = 1}};
    *leave = false;
    for (int id; (id = nu_args_next(&args)) != NU_ARG_END;) {
        if (id == NU_ARG_LEAVE) {
            *leave = true;
            return args.leave;
        }
        enum nu_exit wrong = take(&args, o, id);
        if (wrong)
            return wrong;
    }
    return judge(&args, o);
}
