/*
 * stop.h - asked to stop. SIGTERM, SIGINT and SIGHUP set a flag that the stages poll; a second one ends the process at
 * once (one within 0.3 s counts as the same: timeout(1) signals a process and then its group). A signal that was
 * ignored when the program started stays ignored (background jobs, nohup). SIGXFSZ is ignored (a file-size limit is
 * then an I/O error); SIGPIPE is left alone (a closed stdout ends quietly, plug/fault.h).
 */
#ifndef MBS_BASE_STOP_H
#define MBS_BASE_STOP_H

/* Installs the handlers and takes up a closed fd 0, 1 or 2 by /dev/null, so that no data file gets that number; reading
 * from such a stdin and writing to such a stdout still fails. Called once by the command line. */
void mbs_stop_install(void);
/* 0, or the signal that asked. */
int mbs_stop_requested(void);
/* An input without an end begins (1) or is over (0). While there is one the first SIGINT ends it instead of the run. */
void mbs_stop_live(int begins);
/* Nonzero after that signal, until the input is over. */
int mbs_stop_input_ended(void);
/* As if the signal had come; for tests and embedders. 0 clears. */
void mbs_stop_request(int sig);
/* Ends the process by the signal itself, with default handling, so that a shell loop stops too. */
void mbs_stop_raise(int sig);

#endif
