#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "plug/instance.h"
#include "plug/slab.h"

typedef struct record {
    mbs_record pub; /* first */
    atomic_int refs;
} record;

/* Texts are packed behind the attributes in the same piece of memory. */
static size_t text_bytes(const char *s) {
    return s ? strlen(s) + 1 : 0;
}

static const char *pack(char **at, const char *s) {
    if (!s) {
        return NULL;
    }
    size_t n = strlen(s) + 1;
    char *to = *at;
    memcpy(to, s, n);
    *at = to + n;
    return to;
}

mbs_record *mbs_record_copy(const mbs_record *r) {
    /* A plugin of an older minor knows fewer fields: what it does not have is zero here. */
    mbs_record from = {0};
    size_t known = r->struct_size < sizeof from ? r->struct_size : sizeof from;
    memcpy(&from, r, known);
    const char *name = from.name ? from.name : "";
    size_t n_attrs = from.attrs && from.n_attrs > 0 ? (size_t)from.n_attrs : 0;
    size_t bytes = 0;
    if (mbs_mul_overflow(n_attrs, sizeof(mbs_attr), &bytes)) {
        return NULL;
    }
    size_t texts = text_bytes(name) + text_bytes(from.description) + text_bytes(from.label);
    for (size_t i = 0; i < n_attrs; i++) {
        texts += text_bytes(from.attrs[i].key) + text_bytes(from.attrs[i].value);
    }
    if (mbs_add_overflow(bytes, texts, &bytes) || mbs_add_overflow(bytes, sizeof(record), &bytes)) {
        return NULL;
    }
    record *copy = mbs_slab_get(bytes);
    if (!copy) {
        return NULL;
    }
    mbs_attr *attrs = (mbs_attr *)(void *)(copy + 1);
    char *at = (char *)(attrs + n_attrs);
    copy->pub = from;
    atomic_init(&copy->refs, 1);
    copy->pub.struct_size = (uint32_t)sizeof(mbs_record);
    copy->pub.name = pack(&at, name);
    copy->pub.description = pack(&at, from.description);
    copy->pub.label = pack(&at, from.label);
    copy->pub.n_attrs = (int64_t)n_attrs;
    copy->pub.attrs = n_attrs ? attrs : NULL;
    for (size_t i = 0; i < n_attrs; i++) {
        attrs[i].key = pack(&at, from.attrs[i].key);
        attrs[i].value = pack(&at, from.attrs[i].value);
    }
    if (from.origin) {
        from.origin->ref(from.origin);
    }
    return &copy->pub;
}

mbs_record *mbs_record_ref(mbs_record *r) {
    atomic_fetch_add_explicit(&((record *)(void *)r)->refs, 1, memory_order_relaxed);
    return r;
}

void mbs_record_free(mbs_record *r) {
    if (!r || atomic_fetch_sub_explicit(&((record *)(void *)r)->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (r->origin) {
        r->origin->unref(r->origin);
    }
    mbs_slab_put(r);
}
