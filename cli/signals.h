/* Signals: an interruption is noted, to be asked for between two steps of work. */
#ifndef LGT_CLI_SIGNALS_H
#define LGT_CLI_SIGNALS_H

/* Writing to a reader that has left, or beyond the limit of file sizes, becomes an error of the write instead of the
 * death of the process. */
void cli_signals_ignore_writes(void);

/* From now on the first SIGINT, SIGTERM, SIGHUP or SIGXCPU is only noted; the second ends the process at once, but for
 * SIGXCPU. Those that whoever started the program wanted ignored stay ignored. */
void cli_signals_watch(void);

/* The signal noted, or 0. */
int cli_signal_caught(void);

/* A signal that another rank has noted counts as caught here. */
void cli_signal_heard(int number);

#endif
