/* Lines of task variant: an alternative each, with the attributes that its reader gives a column. */
#include <string.h>

#include "mambaseq/ext/edits.h"
#include "table.h"

static const char *const value_names[3] = {"llr", "llr_plus", "llr_minus"};

void mbs_table_edit_names(mbs_table *t) {
    for (const char *at = t->columns ? t->columns : ""; *at;) {
        size_t n = strcspn(at, "\t");
        mbs_cells_text(&t->cells, "", at, n);
        at += n + (at[n] != '\0');
    }
    for (int i = 0; i < 3; i++) {
        mbs_cells_text(&t->cells, "", value_names[i], strlen(value_names[i]));
    }
    mbs_cells_text(&t->cells, "", "reason", 6);
}

static const char *attr_of(const mbs_record *r, const char *key, size_t n) {
    for (int64_t i = 0; i < r->n_attrs; i++) {
        if (strlen(r->attrs[i].key) == n && memcmp(r->attrs[i].key, key, n) == 0) {
            return r->attrs[i].value;
        }
    }
    return NULL;
}

/* Part i of a value that has one for each row, with tabs between; all of another. */
static const char *part(const char *value, int64_t i, size_t *n) {
    const char *at = value;
    for (int64_t k = 0; at && k < i; k++) {
        at = strchr(at, '\t');
        at = at ? at + 1 : NULL;
    }
    at = at ? at : value;
    *n = strcspn(at, "\t");
    return at;
}

mbs_status mbs_table_edit_cells(mbs_table *t, const mbs_block *b, int64_t i) {
    static const char *const reasons[MBS_EDIT_REASONS] = {NULL, "symbolic", "mismatch", "unknown", "first", "length"};
    const uint8_t *side = mbs_side_data(b, "reason", MBS_U8, 1);
    if (b->dtype != MBS_F32 || t->at.shape.width != 3 || !side || side[i] >= MBS_EDIT_REASONS) {
        return t->host->fail(t->host, MBS_ERR_INTERNAL, NULL, "record '%s': rows that are no edits", b->record->name);
    }
    for (const char *at = t->columns ? t->columns : ""; *at;) {
        char key[64];
        size_t n = strcspn(at, "\t");
        const char *value = attr_of(b->record, at, n);
        size_t len = 0;
        value = value ? part(value, i, &len) : NULL;
        size_t kept = n < sizeof key ? n : sizeof key - 1;
        memcpy(key, at, kept);
        key[kept] = '\0';
        mbs_cells_text(&t->cells, key, value, len);
        at += n + (at[n] != '\0');
    }
    const float *row = (const float *)b->data + 3 * i;
    for (int k = 0; k < 3; k++) {
        mbs_cells_f32(&t->cells, value_names[k], row[k]);
    }
    const char *why = reasons[side[i]];
    mbs_cells_text(&t->cells, "reason", why, why ? strlen(why) : 0);
    return MBS_OK;
}
