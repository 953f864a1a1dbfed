/* Which record names are like one that is not there. */
#include <stdio.h>
#include <string.h>

#include "reader.h"

#define LONGEST 64    /* longer names are not compared */
#define LOOK_AT 20000 /* names, for a message nobody should wait for */
#define SHOWN 3

typedef struct found {
    const char *name;
    int distance;
} found;

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

/* chr1 is 1 elsewhere. */
static int same_but_chr(const char *a, size_t na, const char *b, size_t nb) {
    return (na == nb + 3 && memcmp(a, "chr", 3) == 0 && memcmp(a + 3, b, nb) == 0) ||
           (nb == na + 3 && memcmp(b, "chr", 3) == 0 && memcmp(b + 3, a, na) == 0);
}

static void consider(found best[SHOWN], const char *name, int d) {
    for (int k = 0; k < SHOWN; k++) {
        if (!best[k].name || d < best[k].distance) {
            memmove(best + k + 1, best + k, (size_t)(SHOWN - 1 - k) * sizeof(*best));
            best[k] = (found){name, d};
            return;
        }
    }
}

void fa_hint_names(fa_reader *r, const char *name, size_t n) {
    found best[SHOWN] = {{NULL, 0}};
    int64_t looked = 0;
    int64_t total = 0;
    for (int64_t f = 0; f < r->n_files; f++) {
        const fa_index *x = &r->files[f].index;
        total += x->n;
        for (int64_t i = 0; i < x->n && looked < LOOK_AT; i++, looked++) {
            const char *own = fa_index_name(x, i);
            size_t len = strlen(own);
            int d = same_but_chr(name, n, own, len)  ? 0
                    : n <= LONGEST && len <= LONGEST ? distance(name, n, own, len)
                                                     : LONGEST * 2;
            consider(best, own, d);
        }
    }
    if (!best[0].name) {
        return;
    }
    /* far names help only as an example of what the file calls them */
    int near = best[0].distance * 2 <= (int)(n > LONGEST ? LONGEST : n);
    char list[256] = "";
    size_t len = 0;
    for (int k = 0; k < SHOWN && best[k].name && len < sizeof(list); k++) {
        int wrote = snprintf(list + len, sizeof(list) - len, "%s%.60s", k ? ", " : "", best[k].name);
        len += wrote > 0 ? (size_t)wrote : 0;
    }
    r->host->hint(r->host, "%s %s%s", near ? "nearest names:" : "names in the input:", list,
                  total > SHOWN ? ", ..." : "");
}
