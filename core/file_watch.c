/* File watching; see file_watch.h. A path is walked as the kernel does, component by component and
 * through links; each component is a hop: a name in a folder that inotify watches. Whatever happens
 * to a hop makes its watch due; when due the path is walked anew and the file compared. */
#include "core/file_watch.h"

#include "core/assert.h"
#include "core/list.h"
#include "core/log.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* followed in one path, as the kernel's own limit (path_resolution(7)) */
#define OF_NAMES  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB)
#define OF_FOLDER (IN_DELETE_SELF | IN_MOVE_SELF)
#define OF_LIST   (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE)

struct nu_watcher {
    int fd;
    struct nu_list watches, folders, due;
};

struct folder {
    struct nu_list link, hops;
    int wd; /* -1 once the kernel dropped it */
};

struct hop {
    struct nu_list of_folder, of_watch;
    struct nu_watch *watch;
    struct folder *folder;
    char name[]; /* "": whatever comes into the folder, leaves it or is written there */
};

struct print { /* tells one content from another */
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

struct nu_watch {
    struct nu_list link, due, hops;
    struct nu_watcher *watcher;
    nu_watch_fn *fn;
    void *ctx;
    struct print seen; /* zero: there was no file yet */
    bool written;      /* closed by a writer: a change even if within one tick of the clock */
    bool is_folder;    /* it was one when it was added: its files are the content */
    int64_t first_ms, last_ms; /* events since it became due */
    char path[];
};

static struct folder *folder_by_wd(struct nu_watcher *watcher, int wd)
{
    nu_list_each (it, &watcher->folders) {
        struct folder *folder = nu_container(it, struct folder, link);
        if (folder->wd == wd)
            return folder;
    }
    return NULL;
}

/* The watched folder of that path; NULL where it cannot be watched: gone, no inotify watch left, or
 * not ours to read, as folders high above the file often are. */
static struct folder *folder_get(struct nu_watcher *watcher, const char *path)
{
    int wd = inotify_add_watch(watcher->fd, path, OF_NAMES | OF_FOLDER | IN_ONLYDIR);
    if (wd < 0) {
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            nu_log_limited(NU_LOG_WARN, "watch", "cannot watch folder path=%s error=\"%m\"", path);
        return NULL;
    }
    struct folder *folder = folder_by_wd(watcher, wd);
    if (folder)
        return folder;
    folder = calloc(1, sizeof *folder);
    nu_assert(folder != NULL);
    folder->wd = wd;
    nu_list_init(&folder->hops);
    nu_list_add_tail(&watcher->folders, &folder->link);
    return folder;
}

static void hop_free(struct hop *hop)
{
    struct folder *folder = hop->folder;
    nu_list_del(&hop->of_folder);
    nu_list_del(&hop->of_watch);
    if (nu_list_empty(&folder->hops)) {
        if (folder->wd >= 0)
            inotify_rm_watch(hop->watch->watcher->fd, folder->wd);
        nu_list_del(&folder->link);
        free(folder);
    }
    free(hop);
}

static void hops_free(struct nu_list *hops)
{
    nu_list_each (it, hops) {
        hop_free(nu_container(it, struct hop, of_watch));
    }
}

static void hop_add(struct nu_watch *watch, const char *folder_path, const char *name, size_t len)
{
    struct folder *folder = folder_get(watch->watcher, *folder_path ? folder_path : "/");
    if (!folder)
        return;
    struct hop *hop = calloc(1, sizeof *hop + len + 1);
    nu_assert(hop != NULL);
    hop->watch = watch;
    hop->folder = folder;
    memcpy(hop->name, name, len);
    nu_list_add_tail(&folder->hops, &hop->of_folder);
    nu_list_add_tail(&watch->hops, &hop->of_watch);
}

static void parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
}

struct walk {
    char real[PATH_MAX]; /* walked so far, without links; "" is the root */
    char rest[PATH_MAX]; /* still to walk */
    unsigned links;
};

/* Puts a link's target in front of the rest; false where that is too long or a loop. */
static bool follow(struct walk *walk)
{
    char target[PATH_MAX], joined[2 * PATH_MAX];
    ssize_t n = readlink(walk->real, target, sizeof target - 1);
    if (n <= 0 || ++walk->links > LINKS_MAX)
        return false;
    target[n] = 0;
    size_t len = (size_t)snprintf(joined, sizeof joined, "%s/%s", target, walk->rest);
    if (len >= sizeof walk->rest)
        return false;
    memcpy(walk->rest, joined, len + 1);
    parent(walk->real);
    if (target[0] == '/')
        walk->real[0] = 0;
    return true;
}

/* Takes one component off the rest, watches it and goes there; false at the end of the way. The
 * folder is watched before the name is looked at, else a change in between would be missed. */
static bool step(struct nu_watch *watch, struct walk *walk)
{
    struct stat st;
    char name[NAME_MAX + 1];
    char *p = walk->rest + strspn(walk->rest, "/");
    size_t len = strcspn(p, "/"), real = strlen(walk->real);
    if (!len || len > NAME_MAX || real + len + 2 > sizeof walk->real)
        return false;
    memcpy(name, p, len);
    name[len] = 0;
    memmove(walk->rest, p + len, strlen(p + len) + 1);
    if (strcmp(name, ".") == 0)
        return true;
    if (strcmp(name, "..") == 0) {
        parent(walk->real);
        return true;
    }
    hop_add(watch, walk->real, name, len);
    walk->real[real] = '/';
    memcpy(walk->real + real + 1, name, len + 1);
    if (lstat(walk->real, &st) != 0)
        return false;
    return !S_ISLNK(st.st_mode) || follow(walk);
}

/* Watches the way that the path takes now. Old hops go last, so that folders on both stay. */
static void walk_path(struct nu_watch *watch)
{
    struct nu_list old;
    struct walk walk = {.links = 0};
    nu_list_take(&old, &watch->hops);
    if (strlen(watch->path) < sizeof walk.rest) {
        strcpy(walk.rest, watch->path);
        while (step(watch, &walk))
            ;
        if (watch->is_folder)
            hop_add(watch, walk.real, "", 0);
    }
    hops_free(&old);
}

/* False: there is none at the moment. One that we may not read counts: whoever wants to read it
 * tells why that fails. */
static bool take_print(const char *path, bool is_folder, struct print *out)
{
    struct stat st;
    memset(out, 0, sizeof *out);
    if (stat(path, &st) != 0 || !(is_folder ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)))
        return false;
    out->dev = st.st_dev;
    out->ino = st.st_ino;
    out->size = st.st_size;
    out->mtime = st.st_mtim;
    out->ctime = st.st_ctim;
    return true;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_print(const struct print *a, const struct print *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           same_time(a->mtime, b->mtime) && same_time(a->ctime, b->ctime);
}

struct nu_watcher *nu_watcher_new(void)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct nu_watcher *watcher = calloc(1, sizeof *watcher);
    nu_assert(watcher != NULL);
    watcher->fd = fd;
    nu_list_init(&watcher->watches);
    nu_list_init(&watcher->folders);
    nu_list_init(&watcher->due);
    return watcher;
}

void nu_watcher_free(struct nu_watcher *watcher)
{
    if (!watcher)
        return;
    nu_list_each (it, &watcher->watches) {
        nu_watch_del(nu_container(it, struct nu_watch, link));
    }
    close(watcher->fd);
    free(watcher);
}

int nu_watcher_fd(const struct nu_watcher *watcher)
{
    return watcher->fd;
}

struct nu_watch *nu_watch_add(struct nu_watcher *watcher, const char *path, nu_watch_fn *fn,
                              void *ctx)
{
    size_t bytes = strlen(path) + 1;
    nu_assert(path[0] == '/');
    struct nu_watch *watch = calloc(1, sizeof *watch + bytes);
    nu_assert(watch != NULL);
    watch->watcher = watcher;
    watch->fn = fn;
    watch->ctx = ctx;
    memcpy(watch->path, path, bytes);
    nu_list_init(&watch->hops);
    nu_list_add_tail(&watcher->watches, &watch->link);
    watch->is_folder = take_print(path, true, &watch->seen);
    walk_path(watch);
    take_print(path, watch->is_folder, &watch->seen);
    return watch;
}

void nu_watch_del(struct nu_watch *watch)
{
    if (!watch)
        return;
    hops_free(&watch->hops);
    nu_list_del(&watch->link);
    if (nu_list_linked(&watch->due))
        nu_list_del(&watch->due);
    free(watch);
}

static void touched(struct nu_watch *watch, int64_t now_ms)
{
    watch->last_ms = now_ms;
    if (nu_list_linked(&watch->due))
        return;
    watch->first_ms = now_ms;
    nu_list_add_tail(&watch->watcher->due, &watch->due);
}

static void all_touched(struct nu_watcher *watcher, int64_t now_ms)
{
    nu_list_each (it, &watcher->watches) {
        touched(nu_container(it, struct nu_watch, link), now_ms);
    }
}

/* Whether the event, with a name, is about what the hop stands for. */
static bool concerns(const struct hop *hop, const struct inotify_event *event)
{
    return *hop->name ? strcmp(hop->name, event->name) == 0 : event->mask & OF_LIST;
}

/* A change even if all times are what they were: they have the ticks of a clock. */
static bool is_change(const struct hop *hop, const struct inotify_event *event)
{
    bool last = hop->of_watch.next == &hop->watch->hops;
    return last && event->mask & (*hop->name ? IN_CLOSE_WRITE : OF_LIST);
}

static void take_event(struct nu_watcher *watcher, const struct inotify_event *event,
                       int64_t now_ms)
{
    if (event->mask & IN_Q_OVERFLOW) {
        all_touched(watcher, now_ms);
        return;
    }
    struct folder *folder = folder_by_wd(watcher, event->wd);
    bool whole = event->mask & (OF_FOLDER | IN_IGNORED | IN_UNMOUNT);
    if (!folder || (!whole && !event->len))
        return;
    if (event->mask & IN_IGNORED)
        folder->wd = -1;
    nu_list_each (it, &folder->hops) {
        struct hop *hop = nu_container(it, struct hop, of_folder);
        if (!whole && !concerns(hop, event))
            continue;
        if (is_change(hop, event))
            hop->watch->written = true;
        touched(hop->watch, now_ms);
    }
}

static void take_events(struct nu_watcher *watcher, int64_t now_ms)
{
    _Alignas(struct inotify_event) char buf[16 * 1024];
    ssize_t n;
    while ((n = read(watcher->fd, buf, sizeof buf)) > 0) {
        for (char *p = buf; p < buf + n;) {
            const struct inotify_event *event = (const void *)p;
            take_event(watcher, event, now_ms);
            p += sizeof *event + event->len;
        }
    }
}

static int64_t due_at(const struct nu_watch *watch)
{
    int64_t quiet = watch->last_ms + NU_WATCH_QUIET_MS;
    int64_t latest = watch->first_ms + NU_WATCH_LATEST_MS;
    return quiet < latest ? quiet : latest;
}

/* May call back, after which the watch may be gone. */
static void look(struct nu_watch *watch)
{
    struct print now;
    walk_path(watch);
    if (!take_print(watch->path, watch->is_folder, &now) ||
        (!watch->written && same_print(&now, &watch->seen)))
        return;
    watch->written = false;
    watch->seen = now;
    watch->fn(watch->ctx, watch->path);
}

/* Looks at one watch whose time has come; false if there is none. */
static bool look_at_one(struct nu_watcher *watcher, int64_t now_ms)
{
    nu_list_each (it, &watcher->due) {
        struct nu_watch *watch = nu_container(it, struct nu_watch, due);
        if (due_at(watch) > now_ms)
            continue;
        nu_list_del(&watch->due);
        look(watch);
        return true;
    }
    return false;
}

int nu_watcher_run(struct nu_watcher *watcher, int64_t now_ms)
{
    take_events(watcher, now_ms);
    while (look_at_one(watcher, now_ms))
        ;
    int64_t wait = -1;
    nu_list_each (it, &watcher->due) {
        int64_t left = due_at(nu_container(it, struct nu_watch, due)) - now_ms;
        if (wait < 0 || left < wait)
            wait = left;
    }
    return (int)wait;
}
