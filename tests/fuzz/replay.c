/* Runs a fuzz target over the files and folders given as arguments: corpora as plain tests, and
 * what a fuzzer found, without a fuzzer. Linked with one fuzz_*.c; not libFuzzer's main. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t inputs;

static _Noreturn void die(const char *path)
{
    perror(path);
    exit(1);
}

/* A copy of exactly the file's size, so that a sanitizer sees any read behind it. */
static void run_file(const char *path, size_t len)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(len ? len : 1);
    if (!file || !data || fread(data, 1, len, file) != len)
        die(path);
    fclose(file);
    LLVMFuzzerTestOneInput(data, len);
    free(data);
    inputs++;
}

static void run_path(const char *path);

static void run_folder(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        die(path);
    for (int i = 0; i < count; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            run_path(inner);
        free(entries[i]);
    }
    free(entries);
}

static void run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        die(path);
    if (S_ISDIR(st.st_mode))
        run_folder(path);
    else
        run_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%s: %zu inputs\n", argv[0], inputs);
    return inputs > 0 ? 0 : 1;
}
