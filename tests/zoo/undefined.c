/* Calls something of another version of its library, which is not there. */
#include "zoo/zoo.h"

int zoo_function_of_the_next_release(void);

static mbs_status read_more(void *self, int64_t max_rows, mbs_block **out) {
    return zoo_function_of_the_next_release() ? MBS_END : zoo_read(self, max_rows, out);
}

static const mbs_reader_vt vt = {
    .struct_size = sizeof vt,
    .create = zoo_create,
    .open = zoo_open,
    .read = read_more,
    .close = zoo_close,
    .destroy = zoo_destroy,
};
static const mbs_descriptor descriptor = ZOO_DESCRIPTOR(&vt);
static const mbs_descriptor *const list[] = {&descriptor};
MBS_PLUGIN_DEFINE(undefined, list, NULL);
