/* The composition root: the one place where all layers meet by name. */
#ifndef NU_TOOLS_NUNCIO_REGISTER_H
#define NU_TOOLS_NUNCIO_REGISTER_H

/* Registers filters, log operators and stats groups; once, before any config is read. */
void nu_register_all(void);

#endif
