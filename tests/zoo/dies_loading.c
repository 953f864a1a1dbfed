/* Dies in its constructor, before anything of it was asked for. */
#include "zoo/zoo.h"

static int *volatile nowhere;

__attribute__((constructor)) static void begin(void) {
    *nowhere = 1;
}

static const mbs_reader_vt vt = {.struct_size = sizeof vt,
                                 .create = zoo_create,
                                 .open = zoo_open,
                                 .read = zoo_read,
                                 .close = zoo_close,
                                 .destroy = zoo_destroy};
static const mbs_descriptor descriptor = ZOO_DESCRIPTOR(&vt);
static const mbs_descriptor *const list[] = {&descriptor};
MBS_PLUGIN_DEFINE(dies_loading, list, NULL);
