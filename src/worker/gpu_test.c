/* Unit tests of worker/gpu.h: the table, and not the hardware, which machines that run tests rarely
 * have. */
#include "worker/gpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *here; /* the signs that are there */

static bool exists(const char *path)
{
    return strstr(here, path) != NULL;
}

static unsigned rights_on(const struct gpu_rows *rows, const char *path)
{
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->rows[i].path, path) == 0)
            return rows->rows[i].rights;
    return 0;
}

static void exactly_the_gpus_that_were_asked_for(void **state)
{
    static struct gpu_rows rows;
    here = "/dev/nvidiactl /dev/dri";
    gpu_find(1U << 1 | 1U << 3, exists, &rows);
    assert_true(rights_on(&rows, "/dev/nvidia1") & SANDBOX_DEVICE);
    assert_true(rights_on(&rows, "/dev/nvidia3") & SANDBOX_WRITE);
    assert_true(rights_on(&rows, "/dev/nvidiactl") & SANDBOX_DEVICE);
    assert_true(rights_on(&rows, "/dev/nvidia-uvm") & SANDBOX_DEVICE);
    assert_int_equal(rights_on(&rows, "/proc/driver/nvidia"), SANDBOX_READ);
    assert_int_equal(rights_on(&rows, "/dev/nvidia0"), 0);
    assert_int_equal(rights_on(&rows, "/dev/nvidia2"), 0);
    assert_int_equal(rights_on(&rows, "/dev/dri/renderD129"), 0); /* other graphics beside it */
    assert_int_equal(rows.count, 7);
}

static void of_other_drivers_too(void **state)
{
    static struct gpu_rows rows;
    here = "/dev/kfd /dev/dri";
    gpu_find(1U << 2, exists, &rows);
    assert_true(rights_on(&rows, "/dev/dri/renderD130") & SANDBOX_DEVICE);
    assert_true(rights_on(&rows, "/dev/kfd") & SANDBOX_DEVICE);
    assert_int_equal(rights_on(&rows, "/dev/dri/renderD128"), 0);
    here = "/dev/dri";
    gpu_find(1, exists, &rows);
    assert_true(rights_on(&rows, "/dev/dri/renderD128") & SANDBOX_DEVICE);
    assert_int_equal(rights_on(&rows, "/dev/kfd"), 0);
}

static void none_when_none_was_asked_for_or_is_there(void **state)
{
    static struct gpu_rows rows;
    here = "/dev/nvidiactl";
    gpu_find(0, exists, &rows);
    assert_int_equal(rows.count, 0);
    here = "";
    gpu_find(1, exists, &rows);
    assert_int_equal(rows.count, 0);
}

static void all_of_them_have_room(void **state)
{
    static struct gpu_rows rows;
    here = "/dev/nvidiactl";
    gpu_find(UINT32_MAX, exists, &rows);
    assert_true(rows.count <= GPU_MAX_ROWS);
    assert_true(rights_on(&rows, "/dev/nvidia31") & SANDBOX_DEVICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_gpus_that_were_asked_for),
        cmocka_unit_test(of_other_drivers_too),
        cmocka_unit_test(none_when_none_was_asked_for_or_is_there),
        cmocka_unit_test(all_of_them_have_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
