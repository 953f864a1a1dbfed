/*
 * The reader of PyTorch checkpoints: any bytes are a sound file or an error with words. A file that opens can be read
 * in full. The bytes are also taken for a pickle alone, past the archive and its sums.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/pickle.h"
#include "model/torch_bin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int is_true, const char *what) {
    if (!is_true) {
        fprintf(stderr, "fuzz_torch: not so: %s\n", what);
        abort();
    }
}

static void read_all(const mbs_st *st) {
    unsigned sum = 0;
    for (size_t i = 0; i < mbs_st_count(st); i++) {
        const mbs_st_tensor *t = mbs_st_at(st, i);
        must(mbs_st_find(st, t->name, t->name_len) == t, "a tensor is found by its name");
        unsigned __int128 elements = 1;
        for (int k = 0; k < t->ndim; k++) {
            must(mbs_st_dims(st, t)[k] >= 0, "a dimension is not negative");
            elements *= (unsigned __int128)mbs_st_dims(st, t)[k];
        }
        must(elements * mbs_st_dtype_size((mbs_dtype)t->dtype) == t->end - t->begin, "the shape is the size");
        const unsigned char *bytes = mbs_st_data(st, t);
        for (uint64_t b = 0; b < t->end - t->begin; b++) {
            sum += bytes[b];
        }
    }
    must(sum != UINT32_MAX, "every byte was read");
}

static void alone(const uint8_t *data, size_t size) {
    mbs_pickled_tensor *tensors;
    size_t n;
    mbs_err err = {0};
    mbs_arena *arena = mbs_arena_new();
    must(arena != NULL, "memory");
    mbs_status st = mbs_pickle_read("pickle", data, size, arena, &tensors, &n, &err);
    must((st >= 0) == (err.status == MBS_OK), "an error or none");
    for (size_t i = 0; i < n && st >= 0; i++) {
        must(tensors[i].ndim >= 0 && tensors[i].ndim <= MBS_ST_MAX_RANK, "so many dimensions");
    }
    mbs_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    mbs_st *st = NULL;
    mbs_err err = {0};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size, "a file to read");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    mbs_status status = mbs_torch_open(path, &st, &err);
    if (status >= 0) {
        must(err.status == MBS_OK, "no error with a file");
        read_all(st);
        mbs_st_close(st);
    } else {
        must(st == NULL && err.status == status && err.what[0] != '\0', "an error has words");
    }
    close(fd);
    alone(data, size);
    return 0;
}
