/*
 * cuda_kit.h - one context of the CUDA backend for a whole test program, from the module that MBS_CUDA_MODULE names;
 * the build's own emulated one without. The same programs so run on a device: there the module is the real one, and
 * where it finds none they say so in a line and end with 77.
 *
 * An emulated device has schedules: 0 runs everything in order and at once, 1 threads backwards and streams as late as
 * can be, the others at random. MBS_CUDA_SCHEDULES says how many (3); a real device has one.
 */
#ifndef MBK_CUDA_KIT_H
#define MBK_CUDA_KIT_H

#include "mbk/module.h"
#include "simt/fake/fake.h"

/* The module's table: loads it at the first call. Ends the program where it cannot be used. */
const mbk_module *cuda_kit_module(void);
/* The fakes' controls; NULL on a real device. */
const fake_control *cuda_kit_fake(void);

int cuda_kit_schedules(void);
/* The program's context, closed when it ends, under `schedule`. */
mbk_ctx *cuda_kit_open(int schedule);
/* 1 where ctx is the program's, which stays open. */
int cuda_kit_close(const mbk_ctx *ctx);
/* Sets a schedule for what is done from now on. */
void cuda_kit_schedule(int schedule);
/* Calls cut at multiples of so many rows give the bytes of one call. */
int64_t cuda_kit_unit(void);
/* The name of a level, or of a schedule above them (kernels/kit.h). */
const char *cuda_kit_name(mbk_level level);

#endif
