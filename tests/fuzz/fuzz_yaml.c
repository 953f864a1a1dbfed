/*
 * The pipeline reader: any text gives a plan or words, and no plan comes with an error. Bytes behind a 0x1e are
 * overrides "path=value", one a line; a line that begins with '=' sets the rest as plain text (reader.path).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/pipe/stubs.h"
#include "pipe/plan.h"

#define MAX_SETS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int is_true, const char *what) {
    if (!is_true) {
        fprintf(stderr, "fuzz_yaml: not so: %s\n", what);
        abort();
    }
}

static int cut_sets(char *text, mbs_plan_set *sets) {
    int n = 0;
    for (char *line = text; line && *line && n < MAX_SETS;) {
        char *end = strchr(line, '\n');
        if (end) {
            *end++ = '\0';
        }
        char *equals = strchr(line, '=');
        if (equals == line) {
            sets[n++] = (mbs_plan_set){"reader.path", line + 1, 1, "-i"};
        } else if (equals) {
            *equals = '\0';
            sets[n++] = (mbs_plan_set){line, equals + 1, 0, "--set"};
        }
        line = end;
    }
    return n;
}

static void check(mbs_registry *registry, const char *file, const mbs_plan_set *sets, int n) {
    mbs_plan *plan = NULL;
    mbs_buf diags = MBS_BUF_INIT;
    mbs_err err;
    mbs_err_clear(&err);
    mbs_status status = mbs_plan_load(file, sets, n, registry, &plan, &diags, &err);
    must((status == MBS_OK) == (plan != NULL), "a plan comes with MBS_OK and only then");
    must(status == MBS_OK || (diags.len > 0 && err.status == status), "an error comes with words");
    must((strstr(mbs_buf_str(&diags), ": error: ") != NULL) == (status != MBS_OK),
         "errors are said where there are some");
    if (plan) {
        mbs_buf out = MBS_BUF_INIT;
        mbs_plan_canonical(plan, &out);
        mbs_plan_print(plan, &out);
        must(out.len > 0, "a plan can be printed");
        mbs_buf_free(&out);
    }
    for (const char *c = mbs_buf_str(&diags); *c; c++) {
        must(*c == '\n' || (unsigned char)*c >= 0x20, "words hold no control bytes");
    }
    mbs_plan_free(plan);
    mbs_buf_free(&diags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    setenv("MAMBASEQ_PLUGIN_PATH", "/nonexistent", 1);
    const uint8_t *cut = size ? memchr(data, 0x1e, size) : NULL;
    size_t yaml = cut ? (size_t)(cut - data) : size;
    char *tail = cut ? strndup((const char *)cut + 1, size - yaml - 1) : NULL;
    mbs_plan_set sets[MAX_SETS];
    int n = tail ? cut_sets(tail, sets) : 0;
    int fd = memfd_create("pipeline", MFD_CLOEXEC);
    char file[64];
    snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
    mbs_err err;
    mbs_err_clear(&err);
    mbs_registry *registry = mbs_registry_new(NULL, 0, &err);
    if (fd >= 0 && registry && mbs_registry_add_static(registry, &test_stub_entry, &err) == MBS_OK &&
        write(fd, data, yaml) == (ssize_t)yaml) {
        check(registry, file, sets, n);
    }
    mbs_registry_free(registry);
    close(fd);
    free(tail);
    return 0;
}
