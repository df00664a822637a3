/* The process's watcher on main's loop: a change stops the loop, and the last watch, even if it is
 * dropped by its own callback, gives the descriptor back. */
#include "core/main_watch.h"

#include "core/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

#include <dirent.h>
#include <string.h>

static char folder[FOLDER_MAX];
static struct nu_watch *one, *two;
static int calls;

static int setup(void **state)
{
    nu_workers_init(1);
    calls = 0;
    return !folder_make(folder);
}

static int teardown(void **state)
{
    nu_workers_free();
    folder_remove(folder);
    return 0;
}

static const char *in(const char *name)
{
    static char paths[2][256];
    static unsigned next;
    char *path = paths[next++ % 2];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name)
{
    FILE *file = fopen(in(name), "w");
    assert_non_null(file);
    fputs("text", file);
    fclose(file);
}

static int descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void stop(void *ctx, const char *path)
{
    calls++;
    nu_worker_stop(nu_worker_main());
}

static void drop_all(void *ctx, const char *path)
{
    nu_main_watch_del(one);
    nu_main_watch_del(two);
    stop(ctx, path);
}

static void a_change_is_told_by_mains_loop(void **state)
{
    int before = descriptors();
    one = nu_main_watch_add(in("a"), stop, NULL);
    two = nu_main_watch_add(in("b"), stop, NULL);
    assert_int_equal(descriptors(), before + 1);
    write_file("a");
    nu_worker_run(nu_worker_main());
    assert_int_equal(calls, 1);
    nu_main_watch_del(one);
    write_file("b");
    nu_worker_run(nu_worker_main());
    assert_int_equal(calls, 2);
    nu_main_watch_del(two);
    nu_main_watch_del(NULL);
    assert_int_equal(descriptors(), before);
}

static void the_last_may_go_in_its_own_callback(void **state)
{
    int before = descriptors();
    for (int round = 1; round <= 2; round++) {
        one = nu_main_watch_add(in("a"), drop_all, NULL);
        two = nu_main_watch_add(in("b"), drop_all, NULL);
        write_file(round == 1 ? "a" : "b");
        nu_worker_run(nu_worker_main());
        assert_int_equal(calls, round);
        assert_int_equal(descriptors(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_is_told_by_mains_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_may_go_in_its_own_callback, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
