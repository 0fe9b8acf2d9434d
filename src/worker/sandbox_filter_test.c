/* Unit tests of sandbox_filter: filters are run by an interpreter of the few instructions that they
 * have. That the kernel takes them, and that the rules are the right ones, is for sandbox_test. */
#include "worker/sandbox_filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ALLOWED = SECCOMP_RET_ALLOW, REFUSED = SECCOMP_RET_ERRNO | 1 };

static const uint32_t otherwise = SECCOMP_RET_ERRNO | 38;
static struct filter filter;

static int start(void **state)
{
    memset(&filter, 0, sizeof filter);
    return 0;
}

static void add(int call, uint32_t action, unsigned count, struct filter_compare a,
                struct filter_compare b)
{
    filter_add(&filter, &(struct filter_rule){call, action, count, {a, b}});
}

static void add_always(int call, uint32_t action)
{
    filter_add(&filter, &(struct filter_rule){.call = call, .action = action});
}

static uint32_t load(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t value;
    assert_true(offset % sizeof value == 0 && offset < sizeof *data);
    memcpy(&value, (const char *)data + offset, sizeof value);
    return value;
}

/* What the filter says; fails the test when it does not end as the kernel wants it to. */
static uint32_t ask_data(const struct seccomp_data *data)
{
    uint32_t accumulator = 0;
    for (size_t at = 0;; at++) {
        assert_true(at < filter.code_count);
        struct sock_filter code = filter.code[at];
        switch (code.code) {
        case BPF_LD | BPF_W | BPF_ABS:
            accumulator = load(data, code.k);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            accumulator &= code.k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += accumulator == code.k ? code.jt : code.jf;
            break;
        case BPF_RET | BPF_K:
            return code.k;
        default:
            fail_msg("an instruction of no filter: %x", code.code);
        }
    }
}

static uint32_t ask(int call, uint64_t first, uint64_t second)
{
    return ask_data(
        &(struct seccomp_data){.nr = call, .arch = AUDIT_ARCH_X86_64, .args = {first, second}});
}

static void compile(void)
{
    assert_true(filter_compile(&filter, AUDIT_ARCH_X86_64, otherwise));
}

static void what_has_no_rule_gets_the_default(void **state)
{
    add_always(3, ALLOWED);
    add_always(5, REFUSED);
    compile();
    assert_int_equal(ask(3, 0, 0), ALLOWED);
    assert_int_equal(ask(5, 0, 0), REFUSED);
    assert_int_equal(ask(4, 0, 0), otherwise);
    assert_int_equal(ask(-1, 0, 0), otherwise);
    assert_int_equal(ask(3 + 0x40000000, 0, 0), otherwise);
}

static void all_conditions_of_a_rule_must_hold(void **state)
{
    add(3, ALLOWED, 2, (struct filter_compare){0, UINT32_MAX, 7},
        (struct filter_compare){1, 0xf0, 0x20});
    add(3, REFUSED, 1, (struct filter_compare){0, UINT32_MAX, 8}, (struct filter_compare){0, 0, 0});
    add_always(4, ALLOWED);
    compile();
    assert_int_equal(ask(3, 7, 0x20), ALLOWED);
    assert_int_equal(ask(3, 7, 0xf00000000000002f), ALLOWED);
    assert_int_equal(ask(3, 7, 0x30), otherwise);
    assert_int_equal(ask(3, 6, 0x20), otherwise);
    assert_int_equal(ask(3, 8, 0x20), REFUSED);
    assert_int_equal(ask(4, 6, 0), ALLOWED);
}

static void the_rule_that_was_first_counts(void **state)
{
    struct filter_compare one = {0, UINT32_MAX, 1}, none = {0, 0, 0};
    add_always(3, ALLOWED);
    add(3, REFUSED, 1, one, none);
    add(4, ALLOWED, 1, one, none);
    add_always(4, REFUSED);
    add(4, ALLOWED, 1, none, none);
    compile();
    assert_int_equal(ask(3, 1, 0), ALLOWED);
    assert_int_equal(ask(4, 1, 0), ALLOWED);
    assert_int_equal(ask(4, 2, 0), REFUSED);
}

static void other_architectures_are_none_of_ours(void **state)
{
    add_always(3, ALLOWED);
    compile();
    struct seccomp_data data = {.nr = 3, .arch = AUDIT_ARCH_I386};
    assert_int_equal(ask_data(&data), SECCOMP_RET_KILL_PROCESS);
}

static void too_many_rules_are_told(void **state)
{
    for (int i = 0; i < FILTER_MAX_RULES; i++)
        add_always(i, ALLOWED);
    compile();
    assert_int_equal(ask(FILTER_MAX_RULES - 1, 0, 0), ALLOWED);
    add_always(1, ALLOWED);
    assert_false(filter_compile(&filter, AUDIT_ARCH_X86_64, otherwise));
    start(state);
    for (unsigned i = 0; i < 100; i++) /* more than a jump can pass */
        add(3, ALLOWED, 1, (struct filter_compare){0, UINT32_MAX, i}, (struct filter_compare){0});
    assert_false(filter_compile(&filter, AUDIT_ARCH_X86_64, otherwise));
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_has_no_rule_gets_the_default), TEST(all_conditions_of_a_rule_must_hold),
        TEST(the_rule_that_was_first_counts),    TEST(other_architectures_are_none_of_ours),
        TEST(too_many_rules_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
