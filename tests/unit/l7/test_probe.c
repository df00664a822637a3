/* The probe by HTTP against a server that says what the test writes: whole, and byte by byte; what
 * it asks, and what is said about it in the config. */
#include "tests/unit/l4/cluster_help.h"

#include "core/log.h"
#include "l4/health/health.h"
#include "l7/probe.h"
#include "tests/unit/folder.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[FOLDER_MAX], path[FOLDER_MAX + 2];
static int listening;
static char request[8192];
static struct made made;

static int start(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    assert_true(folder_make(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(un.sun_path, sizeof un.sun_path, "%.100s", path);
    nu_log_set_level(NU_LOG_ERROR);
    nu_workers_init(1);
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_return_code(bind(listening, (struct sockaddr *)&un, sizeof un), 0);
    return listen(listening, 8);
}

static int stop(void **state)
{
    if (made.arena)
        retire(&made, NULL);
    nu_workers_free();
    close(listening);
    folder_remove(folder);
    return 0;
}

static const struct nu_endpoint *only(void)
{
    return nu_cluster_at(made.clusters, 0)->view[0].set->item[0];
}

/* The connection of the first check, once its request has come. */
static int accept_check(const char *http)
{
    char text[2048];
    int fd = -1;
    size_t len = 0;
    snprintf(text, sizeof text,
             "clusters: {name: c, endpoints: \"unix:%s\", health_check: {http: %s, interval: 1h}}",
             path, http);
    made = commit_from(text, NULL);
    for (int i = 0; i < 1000 && fd < 0; i++) {
        turn();
        fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    assert_true(fd >= 0);
    for (int i = 0; i < 1000 && !(len && strstr(request, "\r\n\r\n")); i++) {
        turn();
        ssize_t n = recv(fd, request + len, sizeof request - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
        request[len] = 0;
    }
    return fd;
}

/* What became of the check. */
static const char *verdict(void)
{
    for (int i = 0; i < 1000 && !nu_health_last(only()); i++) {
        turn();
        poll(NULL, 0, i > 10);
    }
    return nu_health_last(only());
}

/* Says it, `step` bytes a turn, until the prober leaves. */
static void say(int fd, const char *text, size_t len, size_t step)
{
    for (size_t at = 0; at < len && !nu_health_last(only()); at += step) {
        size_t n = len - at < step ? len - at : step;
        if (send(fd, text + at, n, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
            break;
        turn();
    }
}

static void assert_answer(const char *http, const char *answer, size_t step, const char *wanted)
{
    int fd = accept_check(http);
    say(fd, answer, strlen(answer), step);
    close(fd);
    const char *found = verdict();
    if (!found || strcmp(found, wanted) != 0)
        fail_msg("%s\n in steps of %zu: %s, not: %s", answer, step, found ? found : "-", wanted);
    retire(&made, NULL);
}

#define OK       "HTTP/1.1 200 OK\r\n"
#define NO_GOOD  "failed: no good response: "
#define EXPECTED "{path: /, expected: [204, 300-302, 5xx]}"

static void answers_are_judged(void **state)
{
    static const struct {
        const char *http, *answer, *wanted;
    } rows[] = {
        {"/",                       OK "Content-Length: 0\r\n\r\n",                                        "passed"                                    },
        {"/",                       OK "Content-Length: 2\r\n\r\nok",                                      "passed"                                    },
        {"/",                       OK "Content-Length: 2\r\n\r\nok and more that nobody asked for",       "passed"                                    },
        {"/",                       OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n",   "passed"                                    },
        {"/",                       OK "\r\nuntil it closes",                                              "passed"                                    },
        {"/",                       "HTTP/1.0 200 OK\r\n\r\nold",                                          "passed"                                    },
        {"/",
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nlink: x\r\n\r\n" OK
         "Content-Length: 0\r\n\r\n",                                                                      "passed"                                    },
        {"/",                       "HTTP/1.1 204 No Content\r\n\r\n",                                     "passed"                                    },
        {"{path: /, method: HEAD}", OK "Content-Length: 5000\r\n\r\n",                                     "passed"                                    },
        {"/",                       "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
         "failed: status 302 Found"                                                                                                                    },
        {"/",                       "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
         "failed: status 503 Service Unavailable"                                                                                                      },
        {"/",                       "HTTP/1.1 599 x\r\nContent-Length: 9999\r\n\r\n",                      "failed: status 599"                        },
        {EXPECTED,                  OK "Content-Length: 0\r\n\r\n",                                        "failed: status 200 OK"                     },
        {EXPECTED,                  "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",                     "passed"                                    },
        {EXPECTED,                  "HTTP/1.1 303 See Other\r\nContent-Length: 0\r\n\r\n",
         "failed: status 303 See Other"                                                                                                                },
        {EXPECTED,                  "HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n",                         "passed"                                    },
        {"/",                       "",                                                                    "failed: closed without a response"         },
        {"/",                       "HTTP/1.1 200 O",                                                      NO_GOOD "the connection ended inside a head"},
        {"/",                       OK "Content-Length: 5\r\n\r\nok",                                      NO_GOOD "the connection ended inside a body"},
        {"/",                       OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
         NO_GOOD "the connection ended inside a body"                                                                                                  },
        {"/",                       OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         NO_GOOD "both kinds of framing"                                                                                                               },
        {"/",                       OK "Content-Length: 1048577\r\n\r\n",                                  NO_GOOD "the body is over its limit"        },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_answer(rows[i].http, rows[i].answer, 100000, rows[i].wanted);
        assert_answer(rows[i].http, rows[i].answer, 1, rows[i].wanted);
    }
}

static void garbage_is_refused(void **state)
{
    static const char *const rows[] = {"SSH-2.0-OpenSSH_9.2\r\n", "\x15\x03\x01\x00\x02\x02\x46",
                                       "200 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
                                       "HTTP/1.1 200 OK\nX: y\n\n"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = accept_check("/");
        say(fd, rows[i], strlen(rows[i]), 1);
        close(fd);
        assert_int_equal(strncmp(verdict(), NO_GOOD, strlen(NO_GOOD)), 0);
        retire(&made, NULL);
    }
}

/* Heads, chunks and extensions without end are cut by the codec's caps, long before the time is
 * up; what is held meanwhile is little. */
static void what_never_ends_is_cut(void **state)
{
    static const struct {
        const char *begin, *more;
    } rows[] = {
        {OK,                                      "a: b\r\n"                                                        },
        {OK "x: ",                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        {OK "Transfer-Encoding: chunked\r\n\r\n",
         "40\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"                               },
        {OK "\r\n",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                      },
        {"",                                      "HTTP/1.1 100 Continue\r\n\r\n"                                   },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char block[16384];
        size_t len = 0, one = strlen(rows[i].more);
        int fd = accept_check("/");
        while (len + one < sizeof block) {
            memcpy(block + len, rows[i].more, one);
            len += one;
        }
        say(fd, rows[i].begin, strlen(rows[i].begin), 100);
        for (int k = 0; k < 200 && !nu_health_last(only()); k++)
            say(fd, block, len, len);
        close(fd);
        assert_int_equal(strncmp(verdict(), NO_GOOD, strlen(NO_GOOD)), 0);
        retire(&made, NULL);
    }
}

static void the_request_is_as_the_config_says(void **state)
{
    close(accept_check("/healthz?deep=1"));
    assert_string_equal(request, "GET /healthz?deep=1 HTTP/1.1\r\n"
                                 "Host: localhost\r\n"
                                 "user-agent: nuncio-health-check\r\n"
                                 "Connection: close\r\n\r\n");
    retire(&made, NULL);
    close(accept_check("{path: /, host: \"a.test:81\", method: OPTIONS, headers: {X-Who: me, "
                       "User-Agent: probe}}"));
    assert_string_equal(request, "OPTIONS / HTTP/1.1\r\n"
                                 "Host: a.test:81\r\n"
                                 "X-Who: me\r\n"
                                 "user-agent: probe\r\n"
                                 "Connection: close\r\n\r\n");
}

static void what_is_wrong_with_grpc_is_said(void **state)
{
    static const struct {
        const char *grpc, *words;
    } rows[] = {
        {"[a]",             "grpc: "                        },
        {"{service: [a]}",  "expected the name of a service"},
        {"{host: \"a b\"}", "expected a host name"          },
        {"{path: /}",       "unknown key \"path\""          },
    };
    char text[512], name[300];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text,
                 "clusters:\n  - {name: a, endpoints: \"10.0.0.1:80\", health_check: {grpc: %s}}\n",
                 rows[i].grpc);
        assert_clusters_say(text, rows[i].words);
    }
    memset(name, 'n', 256);
    name[256] = 0;
    snprintf(text, sizeof text,
             "clusters:\n  - {name: a, endpoints: \"10.0.0.1:80\", health_check: {grpc: %s}}\n",
             name);
    assert_clusters_say(text, "of at most 255 bytes");
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *http, *words;
    } rows[] = {
        {"healthz",                                     "http: expected a path like /healthz"     },
        {"\"/a b\"",                                    "expected a path like /healthz"           },
        {"\"/a\\r\\nx: y\"",                            "expected a path like /healthz"           },
        {"{}",                                          "missing key \"path\""                    },
        {"{path: /, host: \"a b\"}",                    "expected a host name"                    },
        {"{path: /, host: \"\"}",                       "expected a host name"                    },
        {"{path: /, method: POST}",                     "expected GET, HEAD or OPTIONS"           },
        {"{path: /, expected: []}",                     "must not be empty"                       },
        {"{path: /, expected: [200-]}",                 "expected a status like 204"              },
        {"{path: /, expected: 299-200}",                "expected a status like 204"              },
        {"{path: /, expected: 600}",                    "expected a status like 204"              },
        {"{path: /, expected: 6xx}",                    "expected a status like 204"              },
        {"{path: /, expected: 1xx}",                    "no response ends with a status below 200"},
        {"{path: /, headers: [a]}",                     "expected a map of at most 32 headers"    },
        {"{path: /, headers: {\"a b\": c}}",            "that is no header's name"                },
        {"{path: /, headers: {a: \"b\\nc: d\"}}",       "no control characters"                   },
        {"{path: /, headers: {Host: x}}",               "that is the key \"host\""                },
        {"{path: /, headers: {Content-Length: \"5\"}}", "that header is written by itself"        },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "clusters:\n  - {name: a, endpoints: \"10.0.0.1:80\", health_check: {http: %s}}\n",
                 rows[i].http);
        assert_clusters_say(text, rows[i].words);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_are_judged),     TEST(garbage_is_refused),
        TEST(what_never_ends_is_cut), TEST(the_request_is_as_the_config_says),
        TEST(what_is_wrong_is_said),  TEST(what_is_wrong_with_grpc_is_said),
    };
    nu_cluster_register();
    nu_schema_extend(&nu_health_schema, &nu_probe_http);
    nu_schema_extend(&nu_health_schema, &nu_probe_grpc);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
