/*
 * head.h - what buffers and weights of every backend begin with, so that their sizes can be asked without knowing whose
 * they are. A backend's struct mbk_buf has an mbk_buf_head as its first member, its struct mbk_weight an
 * mbk_weight_head.
 */
#ifndef MBK_HEAD_H
#define MBK_HEAD_H

#include "mbk/mbk.h"

typedef struct mbk_buf_head {
    size_t bytes; /* as asked for */
} mbk_buf_head;

typedef struct mbk_weight_head {
    size_t bytes;    /* that it holds, scales included */
    mbk_dtype dtype; /* as held */
} mbk_weight_head;

#endif
