/* The parts of a man page that come from a command's table; docs_man.c and nuncio-tap make pages of
 * them. */
#include "tools/nuncio/command.h"
#include "tools/nuncio/docs_pages.h"
#include "tools/nuncio/mdoc.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The day of the release where the build names one, so that builds can be repeated. */
static time_t page_time(void)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    return epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
}

void nu_man_head(FILE *out, const char *name, int section, const char *summary)
{
    char day[32];
    struct tm tm;
    time_t now = page_time();
    gmtime_r(&now, &tm);
    strftime(day, sizeof day, "%B %d, %Y", &tm);
    fprintf(out, ".Dd %s\n.Dt ", day);
    for (const char *c = name; *c; c++)
        fputc(toupper((unsigned char)*c), out);
    fprintf(out, " %d\n.Os nuncio %s\n.Sh NAME\n.Nm %s\n.Nd %s\n", section, NU_VERSION, name,
            summary);
}

void nu_man_synopsis(FILE *out, const struct nu_command *command)
{
    fputs(".Sh SYNOPSIS\n", out);
    for (const char *line = command->usage; *line;) {
        size_t len = strcspn(line, "\n");
        fprintf(out, ".Nm %s\n", command->program ? command->program : "nuncio");
        nu_mdoc_plain(out, line, len);
        fputc('\n', out);
        line += len + (line[len] == '\n');
    }
}

static void put_option(FILE *out, const struct nu_option *o)
{
    fputs(".It ", out);
    if (o->id < 256)
        fprintf(out, "Fl %c , ", o->id);
    fputs("Fl \\-", out);
    nu_mdoc_plain(out, o->name, strlen(o->name));
    if (o->value)
        fprintf(out, " Ar %s", o->value);
    fputc('\n', out);
    for (const char *line = o->help; *line;) {
        size_t len = strcspn(line, "\n");
        nu_mdoc_text(out, line, len);
        fputc('\n', out);
        line += len + (line[len] == '\n');
    }
}

void nu_man_options(FILE *out, const struct nu_command *command)
{
    static const struct nu_option help = {"help", NULL, 'h', "Shows a short form of this page."};
    fputs(".Sh OPTIONS\n.Bl -tag -width Ds\n", out);
    for (const struct nu_option *o = command->options; o && o->name; o++)
        if (o->help)
            put_option(out, o);
    put_option(out, &help);
    fputs(".El\n", out);
}

void nu_man_exit_status(FILE *out)
{
    fputs(".Sh EXIT STATUS\n"
          "0 fine, 1 the config or the run failed, 2 wrong usage.\n",
          out);
}
