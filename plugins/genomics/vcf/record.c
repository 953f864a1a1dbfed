#include "record.h"

#include <stdlib.h>

vf_head *vf_head_new(bcf_hdr_t *hdr) {
    vf_head *h = malloc(sizeof(*h));
    if (!h) {
        bcf_hdr_destroy(hdr);
        return NULL;
    }
    atomic_init(&h->refs, 1);
    h->hdr = hdr;
    return h;
}

void vf_head_unref(vf_head *h) {
    if (h && atomic_fetch_sub(&h->refs, 1) == 1) {
        bcf_hdr_destroy(h->hdr);
        free(h);
    }
}

static void ref(mbs_origin *o) {
    atomic_fetch_add(&((vf_record *)o)->refs, 1);
}

static void unref(mbs_origin *o) {
    vf_record_unref((vf_record *)o);
}

vf_record *vf_record_new(vf_head *h) {
    vf_record *r = calloc(1, sizeof(*r));
    if (r && !(r->b = bcf_init())) {
        free(r);
        r = NULL;
    }
    if (r) {
        atomic_fetch_add(&h->refs, 1);
        atomic_init(&r->refs, 1);
        r->head = h;
        r->struct_size = (uint32_t)sizeof(*r);
        r->origin = (mbs_origin){(uint32_t)sizeof(r->origin), 0, VF_LIBRARY, r, ref, unref};
    }
    return r;
}

void vf_record_unref(vf_record *r) {
    if (r && atomic_fetch_sub(&r->refs, 1) == 1) {
        bcf_destroy(r->b);
        vf_head_unref(r->head);
        free(r);
    }
}
