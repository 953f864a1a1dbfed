/*
 * status.h - what a call answers.
 *
 * Zero and positive values are success; a negative value is an error and is the negated exit code that the command ends
 * with when the error reaches it, so that a plugin's choice here is what the user's script sees in $?.
 */
#ifndef MAMBASEQ_STATUS_H
#define MAMBASEQ_STATUS_H

#include <stdint.h>

typedef int32_t mbs_status;

#define MBS_OK 0                  /* done */
#define MBS_END 1                 /* there is nothing more (read, drain) */
#define MBS_AGAIN 2               /* nothing yet, call again (live inputs) */
#define MBS_ERR_USAGE (-64)       /* the command line is wrong */
#define MBS_ERR_DATA (-65)        /* the input is damaged or not of the promised kind */
#define MBS_ERR_NOINPUT (-66)     /* the input cannot be opened */
#define MBS_ERR_UNAVAILABLE (-69) /* a plugin, library or device is not there */
#define MBS_ERR_INTERNAL (-70)    /* a mistake in this program or in a plugin */
#define MBS_ERR_MEMORY (-71)      /* out of memory */
#define MBS_ERR_CREATE (-73)      /* an output cannot be created */
#define MBS_ERR_IO (-74)          /* reading or writing failed */
#define MBS_ERR_STOPPED (-75)     /* asked to stop; can be resumed */
#define MBS_ERR_CONFIG (-78)      /* the pipeline or a parameter is wrong */

#endif
