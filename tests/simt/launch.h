/*
 * launch.h - cudaLaunchKernelEx on the emulator: arguments are laid out like the .param space of PTX.
 */
#ifndef MBK_SIMT_LAUNCH_H
#define MBK_SIMT_LAUNCH_H

#include <type_traits>

template <class... T> struct simt_layout {
    static constexpr int n = (int)sizeof...(T);
    uint32_t offset[n + 1] = {}; /* one more: the end */
    constexpr simt_layout() {
        const uint32_t bytes[] = {(uint32_t)sizeof(T)..., 0}, align[] = {(uint32_t)alignof(T)..., 1};
        uint32_t at = 0;
        for (int i = 0; i < n; i++) {
            offset[i] = (at + align[i] - 1) / align[i] * align[i];
            at = offset[i] + bytes[i];
        }
        offset[n] = at;
    }
};

template <class... T> struct simt_kernel_type {
    static constexpr simt_layout<T...> layout{};
    static_assert(layout.offset[sizeof...(T)] <= SIMT_MAX_ARGS, "too many bytes of kernel arguments");
    static_assert((true && ... && __is_trivially_copyable(T)), "a kernel takes plain values");

    template <size_t... I>
    static void call(const void *function, const unsigned char *args, std::index_sequence<I...>) {
        ((void (*)(T...))(uintptr_t)function)(*(const T *)(const void *)(args + layout.offset[I])...);
    }
    static void thunk(const void *function, const unsigned char *args) {
        call(function, args, std::index_sequence_for<T...>());
    }
    /* Padding is cleared: with what lies in it, two numbers could look like an address. */
    template <class V> static void put_one(unsigned char *to, const V &value) {
        V copy = value;
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
        __builtin_clear_padding(&copy);
#endif
#endif
        memcpy(to, &copy, sizeof copy);
    }
    template <size_t... I> static void put(unsigned char *args, std::index_sequence<I...>, const T &...value) {
        (void)args;
        (put_one(args + layout.offset[I], value), ...);
    }
    template <size_t... I> static const simt_signature *describe(std::index_sequence<I...>) {
        static const simt_param params[] = {{layout.offset[I], (uint32_t)sizeof(T), std::is_pointer<T>::value}...,
                                            {0, 0, 0}};
        static const simt_signature s = {thunk, params, layout.n, layout.offset[layout.n]};
        return &s;
    }
    static const simt_signature *signature() {
        return describe(std::index_sequence_for<T...>());
    }
};

template <class... Exp, class... Act>
static inline cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Exp...), Act &&...args) {
    static_assert(sizeof...(Exp) == sizeof...(Act), "as many arguments as the kernel takes");
    using type = simt_kernel_type<Exp...>;
    simt_call call;
    if (config->numAttrs != 0) {
        return cudaErrorNotSupported;
    }
    call.function = (const void *)(uintptr_t)kernel;
    call.signature = type::signature();
    call.grid = simt_dim{config->gridDim.x, config->gridDim.y, config->gridDim.z};
    call.block = simt_dim{config->blockDim.x, config->blockDim.y, config->blockDim.z};
    call.shared_bytes = config->dynamicSmemBytes;
    call.stream = (void *)config->stream;
    type::put(call.args, std::index_sequence_for<Exp...>(), std::forward<Act>(args)...);
    return (cudaError_t)simt_launch(&call);
}

/* The toolkit's header has this one for nvcc only. Of the attributes, kernels ask for dynamic shared memory. */
template <class... T>
static inline cudaError_t cudaFuncSetAttribute(void (*kernel)(T...), cudaFuncAttribute what, int value) {
    if (what == cudaFuncAttributePreferredSharedMemoryCarveout) {
        return cudaSuccess;
    }
    if (what != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0) {
        return cudaErrorInvalidValue;
    }
    return (cudaError_t)simt_shared_limit((const void *)(uintptr_t)kernel, (size_t)value);
}

#endif
