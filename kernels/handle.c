/* handle.c - what can be asked of a context, a buffer and a weight whichever backend made them. */
#include "head.h"

void mbk_close(mbk_ctx *ctx) {
    if (ctx) {
        ctx->ops->close(ctx);
    }
}

const char *mbk_arithmetic(const mbk_ctx *ctx, mbk_math math) {
    return ctx->ops->arithmetic(ctx, math);
}

const char *mbk_why(const mbk_ctx *ctx) {
    return ctx->ops->why ? ctx->ops->why(ctx) : NULL;
}

size_t mbk_buf_bytes(const mbk_buf *buf) {
    return ((const mbk_buf_head *)(const void *)buf)->bytes;
}

size_t mbk_weight_bytes(const mbk_weight *w) {
    return ((const mbk_weight_head *)(const void *)w)->bytes;
}

mbk_dtype mbk_weight_dtype(const mbk_weight *w) {
    return ((const mbk_weight_head *)(const void *)w)->dtype;
}

const char *mbk_dtype_name(mbk_dtype dtype) {
    return dtype == MBK_BF16 ? "bf16" : dtype == MBK_I8 ? "int8" : "f32";
}

const char *mbk_math_name(mbk_math math) {
    switch (math) {
    case MBK_MATH_BF16:
        return "bf16";
    case MBK_MATH_I16:
        return "int16";
    case MBK_MATH_I8:
        return "int8";
    case MBK_MATH_F32:
    default:
        return "f32";
    }
}
