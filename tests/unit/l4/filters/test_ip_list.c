/* Lists in service: shared by path, swapped on every worker when the file changes, kept when the
 * new one is wrong. Real threads (for TSan, too); the log tells when a file has been looked at. */
#include "l4/filters/ip_list.h"

#include "core/log.h"
#include "core/stats.h"
#include "core/worker.h"
#include "l4/filters/filters_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

#include <string.h>

#define WORKERS 2

static char folder[FOLDER_MAX], path[FOLDER_MAX + 8];
static struct nu_prefix_fault fault;
static char last_line[512]; /* of the log */

static void on_log(const char *line, void *ctx)
{
    snprintf(last_line, sizeof last_line, "%s", line);
    nu_worker_stop(nu_worker_main());
}

static int setup(void **state)
{
    int bad = !folder_make(folder);
    snprintf(path, sizeof path, "%s/list", folder);
    nu_log_set_sink(on_log, NULL);
    nu_workers_init(WORKERS);
    nu_workers_start();
    return bad;
}

static int teardown(void **state)
{
    nu_workers_join();
    nu_workers_free();
    nu_log_set_sink(NULL, NULL);
    folder_remove(folder);
    return 0;
}

static void write_list(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct nu_ip_list *got(void)
{
    struct nu_ip_list *list = nu_ip_list_get(path, &fault);
    if (!list)
        fail_msg("%u: %s", fault.line, fault.what);
    return list;
}

/* --- what all shards say --- */

struct question {
    const struct nu_ip_list *list;
    struct nu_addr addr;
    unsigned holding; /* shards whose table holds it */
};

static void ask_here(struct nu_worker *w, void *arg)
{
    struct question *q = arg;
    struct nu_cidr_iter it;
    if (nu_cidr_find(nu_ip_list_table(q->list, w->loop.shard), &q->addr, &it))
        __atomic_add_fetch(&q->holding, 1, __ATOMIC_SEQ_CST);
}

static void stop_main(void *ctx)
{
    nu_worker_stop(nu_worker_main());
}

/* Behind all posts that are under way. */
static bool holds(const struct nu_ip_list *list, const char *ip)
{
    struct question q = {.list = list};
    assert_int_equal(nu_addr_parse(&q.addr, ip, 1), NU_OK);
    nu_workers_all(ask_here, &q, stop_main, NULL);
    nu_worker_run(nu_worker_main());
    assert_true(q.holding == 0 || q.holding == WORKERS + 1);
    return q.holding > 0;
}

static int64_t figure(unsigned index)
{
    char name[sizeof path + 16];
    snprintf(name, sizeof name, "ip_list.%s", path);
    struct nu_stats *stats = nu_stats_get(&nu_ip_list_stats, name);
    int64_t n = nu_stat_read(stats, index);
    nu_stats_put(stats);
    return n;
}

/* --- stories --- */

static void one_path_is_one_list(void **state)
{
    write_list("10.0.0.0/8\n");
    struct nu_ip_list *a = got(), *b = got();
    assert_ptr_equal(a, b);
    assert_string_equal(nu_ip_list_name(a), "list");
    assert_int_equal(figure(0), 1);
    nu_ip_list_put(a);
    assert_true(holds(b, "10.1.1.1"));
    assert_false(holds(b, "11.1.1.1"));
    nu_ip_list_put(b);
}

static void a_changed_file_comes_to_all_workers(void **state)
{
    write_list("10.0.0.0/8\n");
    struct nu_ip_list *list = got();
    write_list("11.0.0.0/8\n12.0.0.0/8\n");
    nu_worker_run(nu_worker_main());
    assert_non_null(strstr(last_line, "list replaced"));
    assert_true(holds(list, "11.1.1.1"));
    assert_false(holds(list, "10.1.1.1"));
    assert_int_equal(figure(0), 2);
    assert_int_equal(figure(1), 1);
    nu_ip_list_put(list);
}

static void a_wrong_file_changes_nothing(void **state)
{
    write_list("10.0.0.0/8\n");
    struct nu_ip_list *list = got();
    write_list("11.0.0.0/8\nwhat?\nx\n");
    nu_worker_run(nu_worker_main());
    assert_non_null(strstr(last_line, "the list before serves on path="));
    assert_non_null(strstr(last_line, "line=2 error=\"found \\\"what?\\\", expected"));
    assert_non_null(strstr(last_line, "more=1"));
    assert_true(holds(list, "10.1.1.1"));
    assert_false(holds(list, "11.1.1.1"));
    assert_int_equal(figure(2), 1);
    assert_null(nu_ip_list_get(path, &fault)); /* a reload tells */
    assert_int_equal(fault.line, 2);
    assert_true(holds(list, "10.1.1.1"));
    write_list("11.0.0.0/8\n");
    nu_worker_run(nu_worker_main());
    assert_true(holds(list, "11.1.1.1"));
    nu_ip_list_put(list);
}

static void a_reload_need_not_wait_for_the_watch(void **state)
{
    write_list("10.0.0.0/8\n");
    struct nu_ip_list *list = got();
    write_list("11.0.0.0/8\n12.0.0.0/8\n");
    nu_ip_list_put(got());
    assert_true(holds(list, "11.1.1.1"));
    assert_false(holds(list, "10.1.1.1"));
    nu_ip_list_put(list);
}

static void no_file_no_list(void **state)
{
    assert_null(nu_ip_list_get(path, &fault));
    assert_string_equal(fault.what, "cannot be read: No such file or directory");
    write_list("10.0.0.0/8\nx\n");
    assert_null(nu_ip_list_get(path, &fault));
    assert_int_equal(fault.line, 2);
}

/* Before its file is read anew, meanwhile, and with a table on its way to the workers: nothing is
 * left behind, which ASan would tell. Each turn of main ends with a log line. */
static void a_list_may_be_dropped_while_it_changes(void **state)
{
    nu_log_set_level(NU_LOG_DEBUG);
    for (int phase = 0; phase <= 2; phase++) {
        write_list("10.0.0.0/8\n");
        struct nu_ip_list *list = got();
        write_list(phase ? "11.0.0.0/8\n" : "x\n");
        for (int turn = 0; turn < phase; turn++)
            nu_worker_run(nu_worker_main());
        nu_ip_list_put(list);
    }
    nu_log_set_level(NU_LOG_INFO);
    assert_non_null(strstr(last_line, "list replaced"));
}

/* A file that changes while it is being read is read again. */
static void the_last_of_two_changes_counts(void **state)
{
    enum { LINES = 200000 };
    char *big = malloc(LINES * 16 + 1), *at = big;
    assert_non_null(big);
    for (int i = 0; i < LINES; i++)
        at += sprintf(at, "10.%d.%d.%d\n", i >> 16, i >> 8 & 255, i & 255);
    write_list("10.0.0.0/8\n");
    struct nu_ip_list *list = got();
    nu_log_set_level(NU_LOG_DEBUG);
    write_list(big);
    nu_worker_run(nu_worker_main());
    assert_non_null(strstr(last_line, "from=idle to=loading"));
    write_list("11.0.0.0/8\n12.0.0.0/8\n");
    nu_log_set_level(NU_LOG_INFO);
    while (figure(0) != 2)
        nu_worker_run(nu_worker_main());
    assert_true(holds(list, "11.1.1.1"));
    assert_false(holds(list, "10.1.1.1"));
    nu_ip_list_put(list);
    free(big);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_path_is_one_list),
        TEST(a_changed_file_comes_to_all_workers),
        TEST(a_wrong_file_changes_nothing),
        TEST(a_reload_need_not_wait_for_the_watch),
        TEST(no_file_no_list),
        TEST(a_list_may_be_dropped_while_it_changes),
        TEST(the_last_of_two_changes_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
