/* Which record names are like one that is not there. */
#include "genomics/htsutil/names.h"

#include <stdio.h>
#include <string.h>

#define LONGEST 64    /* longer names are not compared */
#define LOOK_AT 20000 /* names, for a message nobody should wait for */

/* Edit distance of texts of at most LONGEST bytes. */
static int distance(const char *a, size_t na, const char *b, size_t nb) {
    int row[LONGEST + 1];
    for (size_t j = 0; j <= nb; j++) {
        row[j] = (int)j;
    }
    for (size_t i = 1; i <= na; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
        }
    }
    return row[nb];
}

static int is(const char *s, size_t n, const char *word) {
    return n == strlen(word) && memcmp(s, word, n) == 0;
}

int hu_names_differ_by_chr(const char *a, size_t na, const char *b, size_t nb) {
    return (na == nb + 3 && memcmp(a, "chr", 3) == 0 && memcmp(a + 3, b, nb) == 0) ||
           (nb == na + 3 && memcmp(b, "chr", 3) == 0 && memcmp(b + 3, a, na) == 0) ||
           (is(a, na, "MT") && is(b, nb, "chrM")) || (is(a, na, "chrM") && is(b, nb, "MT"));
}

void hu_names_begin(hu_names *f, const char *name, size_t n) {
    memset(f, 0, sizeof(*f));
    f->name = name;
    f->len = n;
}

void hu_names_consider(hu_names *f, const char *own) {
    if (f->total++ >= LOOK_AT) {
        return;
    }
    size_t len = strlen(own);
    int d = hu_names_differ_by_chr(f->name, f->len, own, len) ? 0
            : f->len <= LONGEST && len <= LONGEST             ? distance(f->name, f->len, own, len)
                                                              : LONGEST * 2;
    for (int k = 0; k < HU_NAMES_SHOWN; k++) {
        if (!f->best[k] || d < f->distance[k]) {
            memmove(f->best + k + 1, f->best + k, (size_t)(HU_NAMES_SHOWN - 1 - k) * sizeof(*f->best));
            memmove(f->distance + k + 1, f->distance + k, (size_t)(HU_NAMES_SHOWN - 1 - k) * sizeof(*f->distance));
            f->best[k] = own;
            f->distance[k] = d;
            return;
        }
    }
}

void hu_names_hint(const hu_names *f, const mbs_host *host) {
    if (!f->best[0]) {
        return;
    }
    if (f->distance[0] == 0) {
        host->hint(host, "'%.60s' is there: names with 'chr' and without are different names", f->best[0]);
        return;
    }
    /* far names help only as an example of what the file calls them */
    int near = f->distance[0] * 2 <= (int)(f->len > LONGEST ? LONGEST : f->len);
    char list[256] = "";
    size_t len = 0;
    for (int k = 0; k < HU_NAMES_SHOWN && f->best[k] && len < sizeof(list); k++) {
        int wrote = snprintf(list + len, sizeof(list) - len, "%s%.60s", k ? ", " : "", f->best[k]);
        len += wrote > 0 ? (size_t)wrote : 0;
    }
    host->hint(host, "%s %s%s", near ? "nearest names:" : "names in the input:", list,
               f->total > HU_NAMES_SHOWN ? ", ..." : "");
}
