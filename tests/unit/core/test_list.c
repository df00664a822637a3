/* The ring of core/list.h: order, membership, unlinking while walking. */
#include "core/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int value;
    struct nu_list link;
};

static int sum_up(struct nu_list *head)
{
    int digits = 0;
    nu_list_each (it, head) {
        digits = digits * 10 + nu_container(it, struct item, link)->value;
    }
    return digits;
}

static void fill(struct nu_list *head, struct item *items, int n)
{
    nu_list_init(head);
    for (int i = 0; i < n; i++) {
        items[i] = (struct item){.value = i + 1};
        nu_list_add_tail(head, &items[i].link);
    }
}

static void keeps_order_and_membership(void **state)
{
    struct nu_list head;
    struct item items[3];
    fill(&head, items, 3);
    assert_int_equal(sum_up(&head), 123);
    nu_list_del(&items[1].link);
    assert_false(nu_list_linked(&items[1].link));
    assert_true(nu_list_linked(&items[2].link));
    assert_int_equal(sum_up(&head), 13);
    assert_ptr_equal(nu_list_pop(&head), &items[0].link);
    assert_ptr_equal(nu_list_pop(&head), &items[2].link);
    assert_null(nu_list_pop(&head));
    assert_true(nu_list_empty(&head));
    assert_false(nu_list_linked(&items[2].link));
}

static void lets_a_node_unlink_itself_in_a_walk(void **state)
{
    struct nu_list head;
    struct item items[4];
    fill(&head, items, 4);
    nu_list_each (it, &head) {
        if (nu_container(it, struct item, link)->value % 2)
            nu_list_del(it);
    }
    assert_int_equal(sum_up(&head), 24);
}

static void takes_all_nodes_over(void **state)
{
    struct nu_list from, to;
    struct item items[2];
    fill(&from, items, 2);
    nu_list_take(&to, &from);
    assert_true(nu_list_empty(&from));
    assert_int_equal(sum_up(&to), 12);
    nu_list_del(&items[0].link);
    nu_list_del(&items[1].link);
    assert_true(nu_list_empty(&to));
    nu_list_take(&to, &from);
    assert_true(nu_list_empty(&to));
    nu_list_add_tail(&from, &items[0].link);
    nu_list_take(&to, &from);
    assert_int_equal(sum_up(&to), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_and_membership),
        cmocka_unit_test(lets_a_node_unlink_itself_in_a_walk),
        cmocka_unit_test(takes_all_nodes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
