/* Always-on invariants. What a peer can cause never gets here; a broken invariant stops the process
 * in release builds too, because going on would serve wrong bytes. */
#ifndef NU_CORE_ASSERT_H
#define NU_CORE_ASSERT_H

/* Prints place and expression on stderr, then aborts. Any thread. */
_Noreturn void nu_assert_failed(const char *file, int line, const char *expr);

#define nu_assert(e) ((e) ? (void)0 : nu_assert_failed(__FILE__, __LINE__, #e))

/* Object checks: a struct carries `unsigned magic` as documentation of its life cycle. */
#define NU_CHECK(o, m) nu_assert((o) != NULL && (o)->magic == (m))

#endif
