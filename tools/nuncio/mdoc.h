/* The Markdown that our own pages use, as mdoc(7) for man pages: headings, paragraphs, lists,
 * tables, code. Not a general converter: what the pages do not use is text. Main thread. */
#ifndef NU_TOOLS_NUNCIO_MDOC_H
#define NU_TOOLS_NUNCIO_MDOC_H

#include <stddef.h>
#include <stdio.h>

/* Writes the page's lines. Headings of two marks are sections, deeper ones subsections; a heading
 * of one mark is left out. */
void nu_mdoc_markdown(FILE *out, const char *text, size_t len);
/* A line of text without its end: `code` is bold, links are their words, each sentence has a line
 * of its own, nothing in it is a request. */
void nu_mdoc_text(FILE *out, const char *text, size_t len);
/* The same in one line and without any markup, also for macros' arguments. */
void nu_mdoc_plain(FILE *out, const char *text, size_t len);
/* A section's name, in capitals. */
void nu_mdoc_section(FILE *out, const char *name, size_t len);

#endif
