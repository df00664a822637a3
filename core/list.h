/* Intrusive doubly linked ring. A node out of any list has next == NULL, so membership is visible.
 */
#ifndef NU_CORE_LIST_H
#define NU_CORE_LIST_H

#include "core/assert.h"

#include <stdbool.h>
#include <stddef.h>

struct nu_list {
    struct nu_list *next, *prev;
};

#define nu_container(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

/* Walks while nodes may unlink themselves (but not their successor). */
#define nu_list_each(it, head)                                                                     \
    for (struct nu_list *it = (head)->next, *it##_n = it->next; it != (head);                      \
         it = it##_n, it##_n = it->next)

static inline void nu_list_init(struct nu_list *head)
{
    head->next = head->prev = head;
}

static inline bool nu_list_empty(const struct nu_list *head)
{
    return head->next == head;
}

static inline bool nu_list_linked(const struct nu_list *node)
{
    return node->next != NULL;
}

static inline void nu_list_add_tail(struct nu_list *head, struct nu_list *node)
{
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

static inline void nu_list_del(struct nu_list *node)
{
    nu_assert(node->next && node->prev);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

/* The first node, unlinked, or NULL. */
static inline struct nu_list *nu_list_pop(struct nu_list *head)
{
    struct nu_list *node = head->next;
    if (node == head)
        return NULL;
    nu_list_del(node); /* NOLINT: the analyzer forgets that what was freed is unlinked */
    return node;
}

/* Moves every node of `from` to the empty or fresh head `to`. */
static inline void nu_list_take(struct nu_list *to, struct nu_list *from)
{
    nu_list_init(to);
    if (nu_list_empty(from))
        return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    nu_list_init(from);
}

#endif
