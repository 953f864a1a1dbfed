#include "model/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    LOCAL_SIG = 0x04034B50,
    ENTRY_SIG = 0x02014B50,
    END_SIG = 0x06054B50,
    END64_SIG = 0x06064B50,
    LOCATOR_SIG = 0x07064B50,
    LOCAL_SIZE = 30,
    ENTRY_SIZE = 46,
    END_SIZE = 22,
    LOCATOR_SIZE = 20,
    END64_SIZE = 56,
};

static uint32_t u16(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const unsigned char *p) {
    return u16(p) | u16(p + 2) << 16;
}

static uint64_t u64(const unsigned char *p) {
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

static mbs_status bad(const mbs_zip *z, mbs_err *err, const char *why) {
    mbs_fail(err, MBS_ERR_DATA, z->path, "not a sound zip archive: %s", why);
    mbs_err_fix(err, "download the file again");
    return MBS_ERR_DATA;
}

int mbs_zip_looks_like(const unsigned char *data, uint64_t size) {
    return size >= 4 && (u32(data) == LOCAL_SIG || u32(data) == END_SIG);
}

/* Where the end record stands: behind it is only its comment. */
static int find_end(const mbs_zip *z, uint64_t *at) {
    if (z->size < END_SIZE) {
        return 0;
    }
    uint64_t from = z->size - END_SIZE;
    uint64_t least = from > 65535 ? from - 65535 : 0;
    for (uint64_t k = from;; k--) {
        if (u32(z->data + k) == END_SIG && k + END_SIZE + u16(z->data + k + 20) == z->size) {
            *at = k;
            return 1;
        }
        if (k == least) {
            return 0;
        }
    }
}

typedef struct directory {
    uint64_t at;
    uint64_t size;
    uint64_t n;
} directory;

static mbs_status find_directory(const mbs_zip *z, directory *d, mbs_err *err) {
    uint64_t end;
    if (!find_end(z, &end)) {
        return bad(z, err, "its end is missing, the file is truncated");
    }
    const unsigned char *p = z->data + end;
    *d = (directory){u32(p + 16), u32(p + 12), u16(p + 10)};
    if (u16(p + 4) != 0 && u16(p + 4) != 0xFFFF) {
        return bad(z, err, "it is one volume of several");
    }
    if (d->at == 0xFFFFFFFFu || d->size == 0xFFFFFFFFu || d->n == 0xFFFF) {
        const unsigned char *locator = end >= LOCATOR_SIZE ? p - LOCATOR_SIZE : NULL;
        if (!locator || u32(locator) != LOCATOR_SIG) {
            return bad(z, err, "the zip64 record is missing");
        }
        uint64_t at = u64(locator + 8);
        if (at > z->size || z->size - at < END64_SIZE || u32(z->data + at) != END64_SIG) {
            return bad(z, err, "the zip64 record is not where it should be");
        }
        *d = (directory){u64(z->data + at + 48), u64(z->data + at + 40), u64(z->data + at + 32)};
        end = at;
    }
    if (d->at > end || d->size > end - d->at || d->n > d->size / ENTRY_SIZE) {
        return bad(z, err, "its directory does not lie within it");
    }
    return MBS_OK;
}

/* Sizes and place of an entry whose 32 bits do not suffice, from its zip64 field. */
static int widen(const unsigned char *extra, uint64_t len, uint64_t *full, uint64_t *packed, uint64_t *local) {
    uint64_t *wanted[3];
    int n = 0;
    if (*full == 0xFFFFFFFFu) {
        wanted[n++] = full;
    }
    if (*packed == 0xFFFFFFFFu) {
        wanted[n++] = packed;
    }
    if (*local == 0xFFFFFFFFu) {
        wanted[n++] = local;
    }
    while (n > 0 && len >= 4) {
        uint64_t size = u16(extra + 2);
        if (size > len - 4) {
            return 0;
        }
        if (u16(extra) == 1) {
            if (size < (uint64_t)n * 8) {
                return 0;
            }
            for (int k = 0; k < n; k++) {
                *wanted[k] = u64(extra + 4 + 8 * k);
            }
            return 1;
        }
        extra += 4 + size;
        len -= 4 + size;
    }
    return n == 0;
}

static mbs_status bad_member(const mbs_zip *z, const mbs_zip_member *m, mbs_err *err, const char *why) {
    return mbs_fail(err, MBS_ERR_DATA, z->path, "member '%.*s': %s", m->name_len > 120 ? 120 : (int)m->name_len,
                    m->name, why);
}

/* One entry of `left` bytes at p; *used says how many are its own. */
static mbs_status entry(const mbs_zip *z, const unsigned char *p, uint64_t left, mbs_zip_member *m, uint64_t *used,
                        mbs_err *err) {
    if (left < ENTRY_SIZE || u32(p) != ENTRY_SIG) {
        return bad(z, err, "an entry of its directory is damaged");
    }
    uint64_t name = u16(p + 28);
    uint64_t extra = u16(p + 30);
    *used = ENTRY_SIZE + name + extra + u16(p + 32);
    if (*used > left) {
        return bad(z, err, "an entry of its directory is damaged");
    }
    uint64_t packed = u32(p + 20);
    uint64_t local = u32(p + 42);
    *m = (mbs_zip_member){(const char *)p + ENTRY_SIZE, (uint32_t)name, u32(p + 16), 0, u32(p + 24)};
    if (!widen(p + ENTRY_SIZE + name, extra, &m->size, &packed, &local)) {
        return bad_member(z, m, err, "its zip64 sizes are damaged");
    }
    if (u16(p + 8) & 1) {
        return bad_member(z, m, err, "is encrypted");
    }
    if (u16(p + 10) != 0) {
        bad_member(z, m, err, "is compressed; PyTorch stores members as they are");
        mbs_err_fix(err,
                    "unpack the archive and pack it again without compression (zip -0), or save it with torch.save");
        return MBS_ERR_DATA;
    }
    if (packed != m->size) {
        return bad_member(z, m, err, "is stored with two different sizes");
    }
    if (local > z->size || z->size - local < LOCAL_SIZE || u32(z->data + local) != LOCAL_SIG) {
        return bad_member(z, m, err, "does not lie in the archive where the directory says");
    }
    m->at = local + LOCAL_SIZE + u16(z->data + local + 26) + u16(z->data + local + 28);
    if (m->at > z->size || m->size > z->size - m->at) {
        return bad_member(z, m, err, "goes beyond the end of the file, which is truncated");
    }
    return MBS_OK;
}

static int compare(const char *a, size_t a_len, const char *b, size_t b_len) {
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c ? c : (a_len > b_len) - (a_len < b_len);
}

static int by_name(const void *a, const void *b) {
    const mbs_zip_member *x = a;
    const mbs_zip_member *y = b;
    return compare(x->name, x->name_len, y->name, y->name_len);
}

mbs_status mbs_zip_open(const char *path, const unsigned char *data, uint64_t size, mbs_zip *out, mbs_err *err) {
    directory d = {0};
    *out = (mbs_zip){path, data, size, NULL, 0};
    mbs_status st = find_directory(out, &d, err);
    if (st < 0) {
        return st;
    }
    out->members = mbs_calloc((size_t)d.n + 1, sizeof *out->members);
    if (!out->members) {
        return mbs_fail_memory(err, path, ((size_t)d.n + 1) * sizeof *out->members);
    }
    uint64_t at = 0;
    for (; out->n < d.n && st >= 0; out->n += st >= 0) {
        uint64_t used = 0;
        st = entry(out, data + d.at + at, d.size - at, &out->members[out->n], &used, err);
        at += used;
    }
    if (st >= 0) {
        qsort(out->members, out->n, sizeof *out->members, by_name);
    }
    for (size_t i = 1; i < out->n && st >= 0; i++) {
        if (by_name(&out->members[i - 1], &out->members[i]) == 0) {
            st = bad_member(out, &out->members[i], err, "is there twice");
        }
    }
    if (st < 0) {
        mbs_zip_close(out);
    }
    return st;
}

void mbs_zip_close(mbs_zip *z) {
    mbs_free(z->members);
    memset(z, 0, sizeof *z);
}

const mbs_zip_member *mbs_zip_find(const mbs_zip *z, const char *name, size_t len) {
    size_t lo = 0;
    size_t hi = z->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = compare(z->members[mid].name, z->members[mid].name_len, name, len);
        if (c == 0) {
            return &z->members[mid];
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

/* CRC-32 eight bytes at a time: an archive of weights is read once more for it, so it should not take long. */
static uint32_t crc32_of(const unsigned char *p, uint64_t n) {
    uint32_t table[8][256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) {
            c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
        }
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            table[k][i] = table[0][table[k - 1][i] & 255] ^ table[k - 1][i] >> 8;
        }
    }
    uint32_t c = 0xFFFFFFFFu;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t lo = c ^ u32(p);
        uint32_t hi = u32(p + 4);
        c = table[7][lo & 255] ^ table[6][lo >> 8 & 255] ^ table[5][lo >> 16 & 255] ^ table[4][lo >> 24] ^
            table[3][hi & 255] ^ table[2][hi >> 8 & 255] ^ table[1][hi >> 16 & 255] ^ table[0][hi >> 24];
    }
    for (; n > 0; n--, p++) {
        c = table[0][(c ^ *p) & 255] ^ c >> 8;
    }
    return ~c;
}

mbs_status mbs_zip_check(const mbs_zip *z, const mbs_zip_member *m, mbs_err *err) {
    uint32_t sum = crc32_of(z->data + m->at, m->size);
    if (sum == m->crc) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_DATA, z->path, "member '%.*s' is damaged: its CRC-32 is %08" PRIx32 ", not %08" PRIx32,
             m->name_len > 120 ? 120 : (int)m->name_len, m->name, sum, m->crc);
    mbs_err_fix(err, "download the file again");
    return MBS_ERR_DATA;
}
