/* Sockets passed by a service manager, in a child that has them where the protocol says. */
#include "l4/inherited.h"

#include "core/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child passes to itself, at descriptors 3 and up. */
enum { TCP, UDP, ABSTRACT, CONNECTION, A_FILE, TCP6, COUNT };

static int bound(int family, int type, struct sockaddr *sa, socklen_t len)
{
    int fd = socket(family, type, 0);
    nu_assert(fd >= 0 && bind(fd, sa, len) == 0);
    return fd;
}

static int open_tcp(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = bound(AF_INET, SOCK_STREAM, (struct sockaddr *)&sin, sizeof sin);
    nu_assert(listen(fd, 1) == 0);
    return fd;
}

static int open_tcp6(void)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = bound(AF_INET6, SOCK_STREAM, (struct sockaddr *)&sin6, sizeof sin6);
    nu_assert(listen(fd, 1) == 0);
    return fd;
}

static int open_udp(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bound(AF_INET, SOCK_DGRAM, (struct sockaddr *)&sin, sizeof sin);
}

static char abstract_name[64];

static int open_abstract(void)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int n = snprintf(abstract_name, sizeof abstract_name, "@nu-inherited-%d", (int)getpid());
    memcpy(sun.sun_path, abstract_name, (size_t)n);
    sun.sun_path[0] = 0;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
    int fd = bound(AF_UNIX, SOCK_STREAM, (struct sockaddr *)&sun, len);
    nu_assert(listen(fd, 1) == 0);
    return fd;
}

static int open_connection(void)
{
    int pair[2];
    nu_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    return pair[0];
}

static int open_file(void)
{
    return open("/dev/null", O_RDONLY);
}

static int (*const openers[COUNT])(void) = {
    [TCP] = open_tcp,
    [UDP] = open_udp,
    [ABSTRACT] = open_abstract,
    [A_FILE] = open_file,
    [CONNECTION] = open_connection,
    [TCP6] = open_tcp6,
};

static struct nu_addr address_of(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct nu_addr addr;
    nu_assert(getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
    nu_addr_from_sockaddr(&addr, &ss, len);
    return addr;
}

/* Descriptors are first made elsewhere, so that none is in another's place. */
static void pass_all(long pid, const char *count)
{
    int made[COUNT];
    char text[32];
    for (int i = 0; i < COUNT; i++) {
        int fd = openers[i]();
        made[i] = fcntl(fd, F_DUPFD, 100);
        close(fd);
    }
    for (int i = 0; i < COUNT; i++)
        nu_assert(dup2(made[i], 3 + i) == 3 + i);
    snprintf(text, sizeof text, "%ld", pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", count, 1);
    setenv("LISTEN_FDNAMES", "web:dns::c", 1);
    nu_inherited_init();
}

static void count_unused(const char *name, const struct nu_addr *addr, void *ctx)
{
    char *text = ctx;
    snprintf(text + strlen(text), 128 - strlen(text), "%s%s ", name, addr ? "" : "!");
}

/* Asserts in a child end it with a signal. */
static void in_child(void (*story)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        story();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void story_taken(void)
{
    pass_all(getpid(), "6");
    struct nu_addr tcp = address_of(3), udp = address_of(4), tcp6 = address_of(8);
    struct nu_addr unix_addr = {.kind = NU_ADDR_UNIX, .path = abstract_name};
    int a = nu_inherited_take(&tcp, SOCK_STREAM), b = nu_inherited_take(&tcp, SOCK_STREAM);
    nu_assert(a > 8 && b > 8 && a != b); /* as often as one likes, never the original */
    nu_assert(fcntl(a, F_GETFL) & O_NONBLOCK && fcntl(a, F_GETFD) & FD_CLOEXEC);
    nu_assert(fcntl(3, F_GETFD) & FD_CLOEXEC);
    nu_assert(nu_inherited_take(&tcp, SOCK_DGRAM) == -1);
    nu_assert(nu_inherited_take(&udp, SOCK_DGRAM) > 8);
    nu_assert(nu_inherited_take(&udp, SOCK_STREAM) == -1);
    nu_assert(nu_inherited_take(&unix_addr, SOCK_STREAM) > 8);
    nu_assert(nu_inherited_take(&tcp6, SOCK_STREAM) > 8);
    tcp.port ^= 1;
    nu_assert(nu_inherited_take(&tcp, SOCK_STREAM) == -1);
    nu_assert(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));
    nu_inherited_free();
    nu_assert(fcntl(3, F_GETFD) == -1);
}

static void story_unused(void)
{
    char text[128] = "";
    pass_all(getpid(), "6");
    struct nu_addr udp = address_of(4);
    nu_assert(nu_inherited_take(&udp, SOCK_DGRAM) > 8);
    nu_inherited_unused(count_unused, text);
    nu_assert(strcmp(text, "web unknown c! unknown! unknown ") == 0);
}

static void story_not_ours(void)
{
    pass_all(getppid(), "6");
    struct nu_addr tcp = address_of(3);
    nu_assert(nu_inherited_take(&tcp, SOCK_STREAM) == -1);
    nu_assert(!(fcntl(3, F_GETFD) & FD_CLOEXEC));
}

static void story_nonsense(void)
{
    pass_all(getpid(), "6x");
    struct nu_addr tcp = address_of(3);
    nu_assert(nu_inherited_take(&tcp, SOCK_STREAM) == -1);
}

/* More than there are: closed descriptors are no sockets. */
static void story_too_many(void)
{
    pass_all(getpid(), "99999999");
    struct nu_addr tcp = address_of(3);
    nu_assert(nu_inherited_take(&tcp, SOCK_STREAM) > 8);
    int ours = dup(STDERR_FILENO); /* in the place of one that was never passed */
    nu_inherited_free();
    nu_assert(ours > 8 && fcntl(ours, F_GETFD) >= 0);
}

static void taken_by_address_and_type(void **state)
{
    in_child(story_taken);
}

static void unused_ones_are_named(void **state)
{
    in_child(story_unused);
}

static void those_of_another_process_are_left_alone(void **state)
{
    in_child(story_not_ours);
}

static void a_count_that_is_none_passes_nothing(void **state)
{
    in_child(story_nonsense);
}

static void a_count_beyond_reason_is_bounded(void **state)
{
    in_child(story_too_many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken_by_address_and_type),
        cmocka_unit_test(unused_ones_are_named),
        cmocka_unit_test(those_of_another_process_are_left_alone),
        cmocka_unit_test(a_count_that_is_none_passes_nothing),
        cmocka_unit_test(a_count_beyond_reason_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
