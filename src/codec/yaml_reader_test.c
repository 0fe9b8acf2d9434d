/* Unit tests of codec/yaml_reader.h. */
#include "codec/yaml_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Reads all of the text and writes its items, "{ key=scalar [ … ] }", or the sentence. */
static const char *items_of(struct span text, unsigned max_depth)
{
    static char all[4096];
    static const char *const marks[] = {"{ ", "[ ", ". ", "", "", "!"};
    struct yaml_reader reader;
    struct yaml_item item = {.kind = YAML_ITEM_END};
    struct error error;
    size_t used = 0;
    all[0] = '\0';
    yaml_reader_init(&reader, text, max_depth, &error);
    while (item.kind != YAML_ITEM_DONE) {
        if (!yaml_reader_next(&reader, &item)) {
            yaml_reader_fini(&reader);
            return snprintf(all, sizeof all, "%s", error.message) > 0 ? all : NULL;
        }
        if (item.kind == YAML_ITEM_KEY || item.kind == YAML_ITEM_SCALAR)
            used +=
                (size_t)snprintf(all + used, sizeof all - used, "%.*s%s%s", SPAN_ARGS(item.text),
                                 item.quoted ? "\"" : "", item.kind == YAML_ITEM_KEY ? "=" : " ");
        else
            used += (size_t)snprintf(all + used, sizeof all - used, "%s", marks[item.kind]);
    }
    yaml_reader_fini(&reader);
    return all;
}

#define gives(text, expected) assert_string_equal(items_of(span_of(text), 4), expected)

static void a_document_is_a_tree_of_items(void **state)
{
    gives("a: 1\nb: [x, \"y\"]\nc:\n  d: |\n    text\n  e:\nf: ''\n",
          "{ a=1 b=[ x y\" . c={ d=text\n\" e= . f=\" . !");
    gives("a: [{b: c}, {d: [e]}]", "{ a=[ { b=c . { d=[ e . . . . !");
    gives("{}", "{ . !");
}

static void nothing_is_an_empty_document(void **state)
{
    gives("", "!");
    gives("# a comment\n", "!");
    gives("---\n", "!");
    assert_string_equal(items_of((struct span){NULL, 0}, 4), "!");
}

static void more_than_a_tree_is_refused(void **state)
{
    gives("a: &x 1\nb: *x", "line 1: anchors and aliases are not supported");
    gives("a: 1\nb: *x", "line 2: anchors and aliases are not supported");
    gives("a: &x [1]", "line 1: anchors and aliases are not supported");
    gives("a: !!str 1", "line 1: tags are not supported");
    gives("a: 1\n---\nb: 2", "line 2: there is more than one document");
    gives("- a", "line 1: the file must be a mapping of keys to values");
    gives("a", "line 1: the file must be a mapping of keys to values");
    gives("? [a]\n: b", "line 1: a key must be a single value");
    gives("a: {? {b: c}\n: d}", "line 1: a key must be a single value");
    gives("a: [", "line 2: did not find expected node content");
    gives("a:\n\tb: 1", "line 2: a tab where YAML wants spaces");
    gives("a:\n  b: @x\tc", "line 2: found character that cannot start any token");
    gives("a: \"\xff\"", "line 1: invalid leading UTF-8 octet");
}

static void nesting_is_bounded(void **state)
{
    static char deep[100000];
    memset(deep, '[', sizeof deep);
    deep[0] = 'a', deep[1] = ':', deep[2] = ' ';
    gives("a: [[[1]]]", "{ a=[ [ [ 1 . . . . !");
    gives("a: [[[[1]]]]", "line 1: values nest too deep");
    assert_string_equal(items_of((struct span){deep, sizeof deep}, YAML_MAX_DEPTH),
                        "line 1: values nest too deep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_a_tree_of_items),
        cmocka_unit_test(nothing_is_an_empty_document),
        cmocka_unit_test(more_than_a_tree_is_refused),
        cmocka_unit_test(nesting_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
