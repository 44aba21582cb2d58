/* Notes the first signal that asks a training to end. */
#include "signals.h"

#include <signal.h>
#include <string.h>

/* From a user, a batch system, a terminal that is closed, and the limit of processor time. */
static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGXCPU};
enum { ENDINGS = sizeof endings / sizeof *endings };

static volatile sig_atomic_t caught;
static volatile sig_atomic_t is_watched[ENDINGS];

/* The system tells every second anew that processor time is used up: that is no second wish. */
static void note(int number) {
    int first = !caught;
    if (first) caught = number;
    for (int i = 0; i < ENDINGS; i++)
        if (is_watched[i]) signal(endings[i], endings[i] == SIGXCPU ? SIG_IGN : SIG_DFL);
    if (!first) raise(number); /* both had arrived before this ran: the second counts as one, when this returns */
}

void cli_signals_ignore_writes(void) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* What was ignored when the program started stays ignored: nohup and shells without job control mean it. */
void cli_signals_watch(void) {
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < ENDINGS; i++) {
        is_watched[i] = sigaction(endings[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN;
        if (is_watched[i]) sigaction(endings[i], &action, NULL);
    }
}

int cli_signal_caught(void) {
    return caught;
}

void cli_signal_heard(int number) {
    if (!caught) caught = number;
}
