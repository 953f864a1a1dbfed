/*
 * profile.h - counts what a run of translated PTX asks of a device: sectors of global memory by request against the
 * fewest that could hold the bytes, wavefronts of shared memory against the fewest, instructions by kind. On where the
 * environment names a file in MBK_PTX_PROFILE; what was counted is appended to it when the process ends.
 *
 * The k-th time that the lanes of a warp execute an instruction is taken as one request, as it is where they have not
 * diverged.
 */
#ifndef MBK_SIMT_PTX_PROFILE_H
#define MBK_SIMT_PTX_PROFILE_H

#include "simt/ptx/ptx.h"

void ptx_profile_begin(void);
struct ptx_record *ptx_profile_thread(struct ptx_thread *t);
void ptx_profile_end(struct ptx_thread *t);

#endif
