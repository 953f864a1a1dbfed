/* What an author writes, every macro once, in the common part of C99 and C++11: compiled, never run. */
#include "mambaseq/plugin.h"

#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/ext/inspect.h"

static const mbs_param params[] = {
    MBS_PARAM("soft", MBS_PARAM_BOOL, "false", "keep a soft mask"),
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATHS, "files", "files to read"),
    MBS_PARAM_RANGE("flank", MBS_PARAM_SIZE, "1024", 0, 1e12, "bases", "bases read before a region"),
    MBS_PARAM_WORDS("policy", "unk", "unk|skip|error", "what to do with N"),
    MBS_PARAM_OUTPUT("out", "file to write"),
};

static int the_one;

static mbs_status create(const mbs_host *host, const mbs_params *values, void **self) {
    if (MBS_HOST_HAS(host, param_bool) && host->param_bool(values, "soft")) {
        return host->fail(host, MBS_ERR_CONFIG, "soft", "not here: %d", 1);
    }
    *self = &the_one;
    return MBS_OK;
}

static mbs_status open_it(void *self, const mbs_stream_header **header) {
    (void)self;
    (void)header;
    return MBS_ERR_NOINPUT;
}

static mbs_status read_it(void *self, int64_t max_rows, mbs_block **out) {
    (void)self;
    (void)max_rows;
    (void)out;
    return MBS_END;
}

static mbs_status close_it(void *self) {
    (void)self;
    return MBS_OK;
}

static void destroy(void *self) {
    (void)self;
}

static const mbs_reader_vt vt = {(uint32_t)sizeof(mbs_reader_vt), 0, create, open_it, read_it, close_it, destroy, 0};

static const mbs_descriptor descriptor = {
    (uint32_t)sizeof(mbs_descriptor),
    MBS_KIND_READER,
    "author",
    "1.0.0",
    "MIT",
    "reads nothing",
    0,
    "bases/u8",
    0,
    ".none",
    0,
    (uint32_t)(sizeof(params) / sizeof(params[0])),
    0,
    params,
    &vt,
};

static const mbs_descriptor *const descriptors[] = {&descriptor};

MBS_PLUGIN_DEFINE(author, descriptors, "nothing 1.0");
