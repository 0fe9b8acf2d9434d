/* Reports on shadows; see shadow_report.h. */
#include "serving/shadow_report.h"

#include <stdio.h>

void shadow_report_reset(struct shadow_report *report, uint64_t version, uint64_t fingerprint,
                         uint64_t now_ns)
{
    *report =
        (struct shadow_report){.version = version, .fingerprint = fingerprint, .since_ns = now_ns};
}

static struct shadow_tensor *tensor_of(struct shadow_report *report, struct span name)
{
    char cut[SHADOW_NAME_BYTES];
    snprintf(cut, sizeof cut, "%.*s", SPAN_ARGS(name));
    for (size_t i = 0; i < report->tensor_count; i++) {
        if (strcmp(report->tensors[i].name, cut) == 0)
            return &report->tensors[i];
    }
    if (report->tensor_count == SHADOW_MAX_TENSORS)
        return NULL;
    struct shadow_tensor *tensor = &report->tensors[report->tensor_count++];
    memcpy(tensor->name, cut, sizeof cut);
    return tensor;
}

void shadow_report_tensor(struct shadow_report *report, struct span name,
                          enum tensord_datatype datatype, const struct difference *difference)
{
    struct shadow_tensor *tensor = tensor_of(report, name);
    if (!tensor)
        return;
    tensor->datatype = datatype;
    tensor->answers++;
    tensor->different += !difference->comparable || difference->unequal > 0;
    tensor->incomparable += !difference->comparable;
    tensor->elements += difference->elements;
    tensor->unequal += difference->unequal;
    if (difference->max_absolute > tensor->max_absolute)
        tensor->max_absolute = difference->max_absolute;
    if (difference->max_relative > tensor->max_relative)
        tensor->max_relative = difference->max_relative;
}

/* Always at the same time, so that nothing is forgotten. */
void shadow_report_primary(struct shadow_report *report, uint64_t duration_ns)
{
    report->answered++;
    summary_observe(&report->primary, 0, duration_ns);
}

void shadow_report_shadow(struct shadow_report *report, uint64_t duration_ns)
{
    report->shadow_answered++;
    summary_observe(&report->shadow, 0, duration_ns);
}
