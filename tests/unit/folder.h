/* A fresh folder for a test's files, and its removal with all that is in it. */
#ifndef TESTS_UNIT_FOLDER_H
#define TESTS_UNIT_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FOLDER_MAX 128 /* bytes of its path, with its NUL */

/* Makes it below TMPDIR; false if that cannot be. */
static inline int folder_make(char path[static FOLDER_MAX])
{
    const char *parent = getenv("TMPDIR");
    int n = snprintf(path, FOLDER_MAX, "%s/nuncio-XXXXXX", parent ? parent : P_tmpdir);
    return n > 0 && n < FOLDER_MAX && mkdtemp(path) != NULL;
}

static inline int folder_remove_one(const char *path, const struct stat *st, int flag,
                                    struct FTW *ftw)
{
    return remove(path);
}

static inline void folder_remove(const char *path)
{
    nftw(path, folder_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
