#include "plug/vt.h"

#include "plug/least.h"

/* Tables of interface 1.0 are the least; what a later minor adds is tested for field by field. */
#define NEED(vt, fn)                                                                                                   \
    if (!(vt)->fn) {                                                                                                   \
        *missing = #fn;                                                                                                \
        return 0;                                                                                                      \
    }

static int reader_complete(const mbs_reader_vt *vt, const char **missing) {
    NEED(vt, create)
    NEED(vt, open)
    NEED(vt, read)
    NEED(vt, close)
    NEED(vt, destroy)
    return 1;
}

static int codec_complete(const mbs_codec_vt *vt, const char *decodes, const char **missing) {
    NEED(vt, create)
    NEED(vt, open)
    NEED(vt, encode)
    NEED(vt, close)
    NEED(vt, destroy)
    if (decodes) {
        NEED(vt, decode)
    }
    return 1;
}

static int writer_complete(const mbs_writer_vt *vt, const char **missing) {
    NEED(vt, create)
    NEED(vt, open)
    NEED(vt, write)
    NEED(vt, drain)
    NEED(vt, close)
    NEED(vt, destroy)
    return 1;
}

int mbs_vt_complete(const mbs_descriptor *d, const char **missing) {
    const uint32_t *size = d->vt;
    *missing = "all: the table's struct_size is too small";
    switch (d->kind) {
    case MBS_KIND_READER:
        return *size >= MBS_LEAST_READER_VT && reader_complete(d->vt, missing);
    case MBS_KIND_CODEC:
        return *size >= MBS_LEAST_CODEC_VT && codec_complete(d->vt, d->decodes, missing);
    case MBS_KIND_WRITER:
        return *size >= MBS_LEAST_WRITER_VT && writer_complete(d->vt, missing);
    default:
        return 0;
    }
}

#define BY_KIND(d, field)                                                                                              \
    ((d)->kind == MBS_KIND_READER  ? ((const mbs_reader_vt *)(d)->vt)->field                                           \
     : (d)->kind == MBS_KIND_CODEC ? ((const mbs_codec_vt *)(d)->vt)->field                                            \
                                   : ((const mbs_writer_vt *)(d)->vt)->field)

mbs_vt_create_fn mbs_vt_create(const mbs_descriptor *d) {
    return BY_KIND(d, create);
}

mbs_vt_close_fn mbs_vt_close(const mbs_descriptor *d) {
    return BY_KIND(d, close);
}

mbs_vt_destroy_fn mbs_vt_destroy(const mbs_descriptor *d) {
    return BY_KIND(d, destroy);
}

mbs_vt_extension_fn mbs_vt_extension(const mbs_descriptor *d) {
    return BY_KIND(d, get_extension);
}
