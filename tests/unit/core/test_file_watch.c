/* File watching: every way in which a path comes to another content, and none where it does not.
 * inotify tells at once what a system call did, so time is a number here and nothing waits. */
#include "core/file_watch.h"
#include "core/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[FOLDER_MAX];
static struct nu_watcher *watcher;
static int64_t now_ms;
static int calls;
static struct nu_watch *watch;

/* A path in the test's folder; up to four at a time. */
static const char *in(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    int fd = open(in(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void changed(void *ctx, const char *path)
{
    assert_ptr_equal(ctx, &calls);
    calls++;
}

/* Calls since the last time, once all is quiet. */
static int settle(void)
{
    int before = calls;
    int wait = nu_watcher_run(watcher, now_ms);
    for (int i = 0; wait >= 0; i++) {
        assert_true(i < 100);
        now_ms += wait ? wait : 1;
        wait = nu_watcher_run(watcher, now_ms);
    }
    return calls - before;
}

static int setup(void **state)
{
    assert_true(folder_make(folder));
    watcher = nu_watcher_new();
    assert_non_null(watcher);
    now_ms = 1000;
    calls = 0;
    return 0;
}

static int teardown(void **state)
{
    nu_watcher_free(watcher);
    folder_remove(folder);
    return 0;
}

static void start(const char *name)
{
    watch = nu_watch_add(watcher, in(name), changed, &calls);
    assert_int_equal(settle(), 0);
}

static void sees_a_write_in_place(void **state)
{
    write_file("f", "one");
    start("f");
    write_file("f", "two");
    struct pollfd p = {.fd = nu_watcher_fd(watcher), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(settle(), 1);
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(settle(), 0);
    write_file("f", "three");
    assert_int_equal(settle(), 1);
}

static void sees_a_rename_over_it(void **state)
{
    write_file("f", "one");
    start("f");
    for (int i = 0; i < 3; i++) {
        write_file("f.new", "two");
        assert_int_equal(rename(in("f.new"), in("f")), 0);
        assert_int_equal(settle(), 1);
    }
}

/* ..data -> ..1, f -> ..data/f; then ..data is swapped by rename and the old folder removed. */
static void sees_kubernetes_swap_its_link(void **state)
{
    mkdir(in("..1"), 0700);
    write_file("..1/f", "one");
    assert_int_equal(symlink("..1", in("..data")), 0);
    assert_int_equal(symlink("..data/f", in("f")), 0);
    start("f");
    char old[8], new[8], file[16];
    for (int i = 1; i < 4; i++) {
        snprintf(old, sizeof old, "..%d", i);
        snprintf(new, sizeof new, "..%d", i + 1);
        mkdir(in(new), 0700);
        snprintf(file, sizeof file, "%s/f", new);
        write_file(file, "two");
        assert_int_equal(settle(), 0);
        assert_int_equal(symlink(new, in("..data_tmp")), 0);
        assert_int_equal(rename(in("..data_tmp"), in("..data")), 0);
        snprintf(file, sizeof file, "%s/f", old);
        unlink(in(file));
        rmdir(in(old));
        assert_int_equal(settle(), 1);
    }
    write_file("..4/f", "in place, behind the links");
    assert_int_equal(settle(), 1);
}

static void survives_a_missing_file(void **state)
{
    start("f");
    write_file("f", "born");
    assert_int_equal(settle(), 1);
    unlink(in("f"));
    assert_int_equal(settle(), 0);
    write_file("other", "not it");
    assert_int_equal(settle(), 0);
    write_file("f", "again");
    assert_int_equal(settle(), 1);
    chmod(in("f"), 0); /* whoever has to read it tells */
    assert_int_equal(settle(), 1);
    unlink(in("f"));
    mkdir(in("f"), 0700); /* a folder is no content */
    assert_int_equal(settle(), 0);
}

static void survives_missing_folders(void **state)
{
    start("a/b/f");
    mkdir(in("a"), 0700);
    mkdir(in("a/b"), 0700);
    write_file("a/b/f", "one"); /* all before the watcher looked once */
    assert_int_equal(settle(), 1);
    assert_int_equal(rename(in("a"), in("gone")), 0);
    assert_int_equal(settle(), 0);
    write_file("gone/b/f", "not on the path");
    assert_int_equal(settle(), 0);
    mkdir(in("a"), 0700);
    assert_int_equal(settle(), 0);
    mkdir(in("a/b"), 0700);
    assert_int_equal(settle(), 0);
    write_file("a/b/f", "two");
    assert_int_equal(settle(), 1);
    write_file("a/b/f", "three");
    assert_int_equal(settle(), 1);
}

static void follows_links_of_all_kinds(void **state)
{
    mkdir(in("a"), 0700);
    mkdir(in("b"), 0700);
    write_file("b/real", "one");
    assert_int_equal(symlink("../b/./real", in("a/up")), 0);
    assert_int_equal(symlink(in("a/up"), in("absolute")), 0);
    start("a/..//./absolute");
    write_file("b/real", "two");
    assert_int_equal(settle(), 1);
    write_file("b/other", "x");
    unlink(in("a/up"));
    assert_int_equal(symlink("../b/other", in("a/up")), 0);
    assert_int_equal(settle(), 1);
    unlink(in("a/up"));
    assert_int_equal(symlink("../absolute", in("a/up")), 0); /* a loop */
    assert_int_equal(settle(), 0);
    unlink(in("a/up"));
    assert_int_equal(symlink("../b/real", in("a/up")), 0);
    assert_int_equal(settle(), 1);
}

static void waits_for_quiet_but_not_for_ever(void **state)
{
    write_file("f", "one");
    start("f");
    write_file("f", "two");
    assert_int_equal(nu_watcher_run(watcher, now_ms), NU_WATCH_QUIET_MS);
    assert_int_equal(nu_watcher_run(watcher, now_ms + NU_WATCH_QUIET_MS - 1), 1);
    assert_int_equal(calls, 0);
    assert_int_equal(nu_watcher_run(watcher, now_ms + NU_WATCH_QUIET_MS), -1);
    assert_int_equal(calls, 1);
    for (int i = 0; i * 20 < NU_WATCH_LATEST_MS; i++) {
        assert_int_equal(calls, 1);
        write_file("f", "busy");
        nu_watcher_run(watcher, now_ms += 20);
    }
    nu_watcher_run(watcher, now_ms + 20);
    assert_int_equal(calls, 2);
}

/* Ticks of the file system's clock are milliseconds long: same size, same times, other content. */
static void sees_two_writes_of_one_tick(void **state)
{
    write_file("f", "one");
    start("f");
    for (int i = 0; i < 20; i++) {
        write_file("f", i % 2 ? "one" : "two");
        assert_int_equal(settle(), 1);
    }
}

static void sees_what_comes_into_a_folder(void **state)
{
    mkdir(in("d"), 0700);
    write_file("d/a", "one");
    start("d");
    write_file("d/a", "in place");
    assert_int_equal(settle(), 1);
    chmod(in("d/a"), 0640);
    assert_int_equal(settle(), 0);
    write_file("d/b", "new");
    assert_int_equal(settle(), 1);
    assert_int_equal(rename(in("d/b"), in("d/c")), 0);
    assert_int_equal(settle(), 1);
    for (int i = 0; i < 5; i++) { /* within one tick of the clock */
        write_file("d/b", "again");
        assert_int_equal(settle(), 1);
        unlink(in("d/b"));
        assert_int_equal(settle(), 1);
    }
    write_file("other", "beside it");
    assert_int_equal(settle(), 0);
}

/* Reached through a link that is swapped, gone for a while, and never a file. */
static void follows_a_folder(void **state)
{
    mkdir(in("1"), 0700);
    mkdir(in("2"), 0700);
    assert_int_equal(symlink("1", in("d")), 0);
    start("d");
    assert_int_equal(symlink("2", in("d.new")), 0);
    assert_int_equal(rename(in("d.new"), in("d")), 0);
    assert_int_equal(settle(), 1);
    write_file("1/a", "left behind");
    assert_int_equal(settle(), 0);
    write_file("2/a", "seen");
    assert_int_equal(settle(), 1);
    unlink(in("d"));
    write_file("d", "a file");
    assert_int_equal(settle(), 0);
    unlink(in("d"));
    mkdir(in("d"), 0700);
    assert_int_equal(settle(), 1);
    write_file("d/a", "again");
    assert_int_equal(settle(), 1);
}

static void *second;

static void change_watches(void *ctx, const char *path)
{
    watch = nu_watch_add(watcher, path, changed, &calls);
    nu_watch_del(*(struct nu_watch **)ctx); /* itself */
    nu_watch_del(second);
}

static void a_callback_may_change_the_watches(void **state)
{
    static struct nu_watch *itself;
    write_file("f", "one");
    itself = nu_watch_add(watcher, in("f"), change_watches, &itself);
    second = nu_watch_add(watcher, in("f"), changed, &calls);
    write_file("f", "two");
    assert_int_equal(settle(), 0);
    write_file("f", "three");
    assert_int_equal(settle(), 1);
    nu_watch_del(watch);
    write_file("f", "four");
    assert_int_equal(settle(), 0);
    nu_watch_del(NULL);
    nu_watcher_free(NULL);
}

static void many_files_of_a_folder_are_told_apart(void **state)
{
    char name[8];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "f%d", i);
        nu_watch_add(watcher, in(name), changed, &calls);
        write_file(name, "one");
    }
    assert_int_equal(settle(), 100);
    write_file("f7", "two");
    assert_int_equal(settle(), 1);
    for (int i = 0; i < 100; i += 2) {
        snprintf(name, sizeof name, "f%d", i);
        write_file(name, "three");
    }
    assert_int_equal(settle(), 50);
}

#define FRESH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(sees_a_write_in_place),
        FRESH(sees_a_rename_over_it),
        FRESH(sees_kubernetes_swap_its_link),
        FRESH(survives_a_missing_file),
        FRESH(survives_missing_folders),
        FRESH(follows_links_of_all_kinds),
        FRESH(waits_for_quiet_but_not_for_ever),
        FRESH(sees_two_writes_of_one_tick),
        FRESH(sees_what_comes_into_a_folder),
        FRESH(follows_a_folder),
        FRESH(a_callback_may_change_the_watches),
        FRESH(many_files_of_a_folder_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
