/* Pages of `nuncio docs` that are made when the program is built or installed: man pages and shell
 * completion, from the tables of commands and the Markdown pages. Main thread. */
#ifndef NU_TOOLS_NUNCIO_DOCS_PAGES_H
#define NU_TOOLS_NUNCIO_DOCS_PAGES_H

#include "core/err.h"

#include <stdio.h>

/* The file names of all man pages, a line each. */
void nu_man_list(FILE *out);
/* A man page by its file name. `cli` is docs/cli.md, `reference` the reference page, as texts.
 * NU_ERR_SYNTAX: there is no such page. */
enum nu_err nu_man_page(FILE *out, const char *name, const char *cli, const char *reference);
/* For bash. */
void nu_completion_bash(FILE *out);

/* Parts of a page of section `section`; a command's as its table has them. */
struct nu_command;
void nu_man_head(FILE *out, const char *name, int section, const char *summary);
void nu_man_synopsis(FILE *out, const struct nu_command *command);
void nu_man_options(FILE *out, const struct nu_command *command);
void nu_man_exit_status(FILE *out);

#endif
