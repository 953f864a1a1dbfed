/* module.h - the symbol of the module; also for programs that link the backend instead of loading it (tests). */
#ifndef MBK_CUDA_MODULE_H
#define MBK_CUDA_MODULE_H

#include "mbk/module.h"

extern __attribute__((visibility("default"))) const mbk_module mbk_module_entry;

#endif
