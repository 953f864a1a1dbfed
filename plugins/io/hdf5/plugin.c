/* writer 'hdf5': results as one HDF5 file. */
#include <hdf5.h>

#include "writer.h"

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path", "file to write, e.g. scores.h5"),
    MBS_PARAM_WORDS("compression", "gzip", "gzip|none", "how the chunks of the file are stored"),
    MBS_PARAM_RANGE("level", MBS_PARAM_INT, "4", 1, 9, NULL, "effort of gzip, e.g. 9"),
};

static const mbs_descriptor writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "hdf5",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "writes HDF5: rows of all records in one dataset, with offsets",
    .accepts = "*",
    .suffixes = ".h5 .hdf5",
    .serial_group = "hdf5",
    .n_params = (uint32_t)(sizeof params / sizeof params[0]),
    .params = params,
    .vt = &mbs_h5_writer,
};

static const mbs_descriptor *const descriptors[] = {&writer};

#define TEXT_OF(x) #x
#define VERSION_TEXT(a, b, c) "HDF5 " TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)
MBS_PLUGIN_DEFINE(hdf5, descriptors, VERSION_TEXT(H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE));
