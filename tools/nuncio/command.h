/* A sub-command: its options as data, from which both the parsing and the --help text come.
 *
 * One file and one const struct nu_command each; main.c lists them. Main thread, before anything
 * runs. */
#ifndef NU_TOOLS_NUNCIO_COMMAND_H
#define NU_TOOLS_NUNCIO_COMMAND_H

#include <stdio.h>

/* Exit codes of every sub-command. */
enum nu_exit {
    NU_EXIT_OK,     /* fine */
    NU_EXIT_FAILED, /* the config or the run failed */
    NU_EXIT_USAGE,  /* wrong usage */
};

struct nu_option {
    const char *name;  /* long form, without dashes; NULL ends a table */
    const char *value; /* "FILE"; NULL for a flag */
    int id;            /* its letter, or for long forms only a number from 256 on */
    const char *help;  /* NULL: known, but not listed */
};

struct nu_args;

struct nu_command {
    const char *program; /* NULL: a sub-command of nuncio; else a program of its own */
    const char *name;
    const char *summary;     /* a line of `nuncio --help` */
    const char *usage;       /* behind the program's name; a line each */
    void (*more)(FILE *out); /* below the options: lines of a table of its own, or NULL */
    const char *help;        /* at the end: paragraphs, or NULL */
    const struct nu_option *options;
    enum nu_exit (*run)(struct nu_args *args);
};

/* The arguments of one sub-command, handed out one by one in their order. */
struct nu_args {
    const struct nu_command *command;
    int argc; /* argv[0] is the sub-command's name */
    char **argv;
    const char *value;  /* of the option or operand that nu_args_next returned; or NULL */
    enum nu_exit leave; /* with NU_ARG_LEAVE */
};

enum {
    NU_ARG_END = -1,
    NU_ARG_OPERAND = 1,
    NU_ARG_LEAVE = 2, /* --help was answered, or a mistake was told: return args->leave */
};
/* The id of the next option, or one of the above. */
int nu_args_next(struct nu_args *args);
/* Tells a mistake on stderr, with the usage. Returns NU_EXIT_USAGE. */
enum nu_exit nu_usage_error(const struct nu_args *args, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void nu_command_help(const struct nu_command *command, FILE *out);

extern const struct nu_command nu_command_run;
extern const struct nu_command nu_command_check;
extern const struct nu_command nu_command_filters;
extern const struct nu_command nu_command_explain;
extern const struct nu_command nu_command_ctl;
extern const struct nu_command nu_command_top;
extern const struct nu_command nu_command_docs;

/* The i-th one; NULL behind the last. Those without a summary are the project's own, not listed. */
const struct nu_command *nu_command_at(size_t i);
/* By its name, or NULL. */
const struct nu_command *nu_command_find(const char *name);

/* "nuncio 0.1.0" and the libraries that it runs on, a line each. */
#define NU_VERSION "0.1.0-dev"
void nu_version_print(FILE *out);

#endif
