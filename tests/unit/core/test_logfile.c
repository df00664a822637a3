/* Log files: sharing, buffering, rotation, and what happens when a write fails. */
#include "core/log.h"
#include "core/logbuf.h"
#include "core/logfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARDS 3
#define LINE   "a line of the log\n"

static char folder[FOLDER_MAX], path[FOLDER_MAX + 8], other[FOLDER_MAX + 8];
static int log_lines;

static void count_line(const char *line, void *ctx)
{
    log_lines++;
}

static int make_folder(void **state)
{
    assert_true(folder_make(folder));
    snprintf(path, sizeof path, "%s/a.log", folder);
    snprintf(other, sizeof other, "%s/b.log", folder);
    nu_log_set_sink(count_line, NULL);
    log_lines = 0;
    return 0;
}

static int drop_folder(void **state)
{
    folder_remove(folder);
    nu_log_set_sink(NULL, NULL);
    return 0;
}

static char *content(const char *of)
{
    static char text[1 << 20];
    FILE *in = fopen(of, "r");
    size_t n = in ? fread(text, 1, sizeof text - 1, in) : 0;
    if (in)
        fclose(in);
    text[n] = 0;
    return text;
}

static int64_t figure(const char *name)
{
    struct nu_stats *set = nu_stats_get(&nu_logfile_stats, "filesystem");
    unsigned i = 0;
    while (strcmp(nu_logfile_stats.defs[i].name, name) != 0)
        i++;
    int64_t n = nu_stat_read(set, i);
    nu_stats_put(set);
    return n;
}

static struct nu_logfile *open_file(const char *name)
{
    struct nu_logfile *file;
    assert_int_equal(nu_logfile_open(&file, name), NU_OK);
    return file;
}

static void put_line(struct nu_logfile *file, unsigned shard, const char *line)
{
    nu_logfile_write(file, shard, line, strlen(line));
}

static void one_object_a_path(void **state)
{
    struct stat st;
    struct nu_logfile *a = open_file(path), *again = open_file(path), *b = open_file(other);
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, b);
    assert_string_equal(nu_logfile_path(a), path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    nu_logfile_put(a);
    put_line(again, 0, LINE);
    nu_logfile_flush_shard(0);
    assert_string_equal(content(path), LINE);
    nu_logfile_put(again);
    nu_logfile_put(b);
    nu_logfile_put(NULL);
    a = open_file(path);
    put_line(a, 0, "more\n");
    nu_logfile_flush_shard(0);
    assert_string_equal(content(path), LINE "more\n");
    nu_logfile_put(a);
    assert_int_equal(nu_logfile_open(&a, folder), NU_ERR_SYSTEM);
    assert_int_equal(errno, EISDIR);
    assert_null(a);
}

static void lines_wait_for_their_shard(void **state)
{
    struct nu_logfile *a = open_file(path), *b = open_file(other);
    int64_t flushed = figure("flushed_by_timer");
    assert_false(nu_logfile_pending(0));
    put_line(a, 0, "a0\n");
    put_line(b, 0, "b0\n");
    put_line(a, 1, "a1\n");
    assert_true(nu_logfile_pending(0) && nu_logfile_pending(1) && !nu_logfile_pending(2));
    assert_string_equal(content(path), "");
    nu_logfile_flush_shard(0);
    assert_false(nu_logfile_pending(0));
    assert_string_equal(content(path), "a0\n");
    assert_string_equal(content(other), "b0\n");
    nu_logfile_flush_shard(1);
    assert_string_equal(content(path), "a0\na1\n");
    assert_int_equal(figure("flushed_by_timer") - flushed, 3);
    nu_logfile_put(a);
    nu_logfile_put(b);
}

static void a_full_buffer_writes_itself(void **state)
{
    struct nu_logfile *file = open_file(path);
    char line[1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (int i = 1; i < NU_LOGFILE_FLUSH_BYTES / 1024; i++)
        nu_logfile_write(file, 0, line, sizeof line);
    assert_int_equal(strlen(content(path)), 0);
    nu_logfile_write(file, 0, line, sizeof line);
    assert_int_equal(strlen(content(path)), NU_LOGFILE_FLUSH_BYTES);
    char *longest = malloc(NU_LOG_LINE_MAX);
    memset(longest, 'y', NU_LOG_LINE_MAX);
    nu_logfile_write(file, 0, line, sizeof line);
    nu_logfile_write(file, 0, longest, NU_LOG_LINE_MAX);
    assert_int_equal(strlen(content(path)), 2 * NU_LOGFILE_FLUSH_BYTES + 1024);
    free(longest);
    nu_logfile_flush_shard(0);
    assert_int_equal(strlen(content(path)), 2 * NU_LOGFILE_FLUSH_BYTES + 1024);
    nu_logfile_put(file);
}

/* The config lets go of a file while a worker still has a line for it. */
static void waiting_lines_survive_the_last_reference(void **state)
{
    struct nu_logfile *file = open_file(path);
    put_line(file, 1, LINE);
    nu_logfile_put(file);
    struct nu_logfile *revived = open_file(path);
    assert_ptr_equal(revived, file);
    nu_logfile_put(revived);
    nu_logfile_flush_shard(1);
    assert_string_equal(content(path), LINE);
    assert_false(nu_logfile_pending(1));
}

static void rotation_writes_on_to_a_new_file(void **state)
{
    struct nu_logfile *file = open_file(path), *std = open_file("/dev/stderr");
    put_line(file, 0, "old\n");
    nu_logfile_flush_shard(0);
    assert_int_equal(rename(path, other), 0);
    put_line(file, 0, "new\n");
    assert_int_equal(nu_logfile_reopen_all(), 0);
    nu_logfile_flush_shard(0);
    assert_string_equal(content(other), "old\n");
    assert_string_equal(content(path), "new\n");
    nu_logfile_put(file);
    nu_logfile_put(std);
}

static void a_failed_rotation_keeps_the_old_file(void **state)
{
    struct nu_logfile *file = open_file(path);
    int64_t before = figure("reopen_failed");
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(nu_logfile_reopen_all(), 1);
    assert_int_equal(log_lines, 1);
    assert_int_equal(figure("reopen_failed") - before, 1);
    put_line(file, 0, LINE);
    nu_logfile_flush_shard(0);
    assert_string_equal(content(other), LINE);
    rmdir(path);
    nu_logfile_put(file);
}

static void a_full_disk_drops_and_counts(void **state)
{
    struct nu_logfile *file = open_file("/dev/full");
    int64_t lines = figure("lines_lost"), failed = figure("write_failed");
    for (int i = 0; i < 5; i++) {
        put_line(file, 0, "one\n");
        put_line(file, 0, "two\n");
        nu_logfile_flush_shard(0);
    }
    assert_int_equal(figure("lines_lost") - lines, 10);
    assert_int_equal(figure("write_failed") - failed, 5);
    assert_in_range(log_lines, 0, 1); /* at most once a second, and other tests log here too */
    nu_logfile_put(file);
}

/* The file may grow to 10 bytes only: the line behind them is lost, a later one begins anew. */
static void a_short_write_does_not_glue_lines(void **state)
{
    struct nu_logfile *file = open_file(path);
    struct rlimit old, small;
    int64_t lines = figure("lines_lost");
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 10;
    put_line(file, 0, "first\n");
    put_line(file, 0, "second\n");
    put_line(file, 0, "third\n");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    nu_logfile_flush_shard(0);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(figure("lines_lost") - lines, 2);
    put_line(file, 1, "fourth\n");
    nu_logfile_flush_shard(1);
    assert_string_equal(content(path), "first\nseco\nfourth\n");
    nu_logfile_put(file);
}

static void a_reader_that_sleeps_costs_lines_only(void **state)
{
    assert_int_equal(mkfifo(path, 0600), 0);
    struct nu_logfile *file;
    assert_int_equal(nu_logfile_open(&file, path), NU_ERR_SYSTEM); /* nobody reads it at all */
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    file = open_file(path);
    int64_t before = figure("lines_lost"), lines = 0;
    for (; figure("lines_lost") == before; lines++)
        put_line(file, 0, LINE);
    nu_logfile_flush_shard(0);
    int64_t lost = figure("lines_lost") - before, arrived = 0;
    char buf[sizeof LINE - 1];
    while (read(reader, buf, sizeof buf) == sizeof buf) {
        assert_memory_equal(buf, LINE, sizeof buf);
        arrived++;
    }
    assert_int_equal(arrived + lost, lines);
    close(reader);
    put_line(file, 0, LINE);
    nu_logfile_flush_shard(0); /* EPIPE */
    assert_int_equal(figure("lines_lost") - before, lost + 1);
    nu_logfile_put(file);
}

static unsigned mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(name, &st), 0);
    return st.st_mode & 0777;
}

/* Made so, and kept so: an older file, and the new one after a rotation. */
static void a_private_file_is_its_owners_alone(void **state)
{
    struct nu_logfile *file, *common;
    int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(nu_logfile_open_private(&file, other), NU_OK);
    assert_int_equal(mode_of(other), 0600);
    nu_logfile_put(file);
    assert_int_equal(nu_logfile_open_private(&file, path), NU_OK);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(nu_logfile_reopen_all(), 0);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(nu_logfile_open(&common, path), NU_ERR_SYSTEM);
    assert_int_equal(errno, EEXIST);
    nu_logfile_put(file);
    common = open_file(path);
    assert_int_equal(nu_logfile_open_private(&file, path), NU_ERR_SYSTEM);
    assert_int_equal(errno, EEXIST);
    nu_logfile_put(common);
}

static void a_private_file_of_somebody_else_is_refused(void **state)
{
    struct nu_logfile *file;
    if (geteuid() != 0)
        skip();
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && fchown(fd, 65534, 65534) == 0);
    close(fd);
    assert_int_equal(nu_logfile_open_private(&file, path), NU_ERR_SYSTEM);
    assert_int_equal(errno, EPERM);
    assert_null(file);
}

static void *write_lines(void *ctx)
{
    unsigned shard = *(unsigned *)ctx;
    for (int i = 0; i < 2000; i++) {
        struct nu_logfile *file = open_file(path);
        put_line(file, shard, LINE);
        nu_logfile_put(file);
        if (i % 50 == 0)
            nu_logfile_flush_shard(shard);
    }
    nu_logfile_flush_shard(shard);
    return NULL;
}

/* Workers write while main rotates: no line is lost, torn or mixed. */
static void rotation_disturbs_no_worker(void **state)
{
    pthread_t threads[2];
    unsigned shards[2] = {0, 1};
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, write_lines, &shards[i]);
    for (int i = 0; i < 200; i++)
        assert_int_equal(nu_logfile_reopen_all(), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    const char *text = content(path);
    assert_int_equal(strlen(text), 4000 * (sizeof LINE - 1));
    for (const char *p = text; *p; p += sizeof LINE - 1)
        assert_memory_equal(p, LINE, sizeof LINE - 1);
}

#define FRESH(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(one_object_a_path),
        FRESH(lines_wait_for_their_shard),
        FRESH(a_full_buffer_writes_itself),
        FRESH(waiting_lines_survive_the_last_reference),
        FRESH(rotation_writes_on_to_a_new_file),
        FRESH(a_failed_rotation_keeps_the_old_file),
        FRESH(a_full_disk_drops_and_counts),
        FRESH(a_short_write_does_not_glue_lines),
        FRESH(a_reader_that_sleeps_costs_lines_only),
        FRESH(a_private_file_is_its_owners_alone),
        FRESH(a_private_file_of_somebody_else_is_refused),
        FRESH(rotation_disturbs_no_worker),
    };
    signal(SIGPIPE, SIG_IGN);
    umask(0022);
    nu_stats_init(SHARDS);
    nu_logfiles_init(SHARDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
