/* The program: finds the verb, runs it, turns its status into a message and an exit code. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "help.h"
#include "nearest.h"
#include "output.h"
#include "ranks.h"
#include "signals.h"
#include "verbs.h"

/* A standard stream that is closed would lend its number to the next file opened: occupy it with one that fails. */
static void occupy_standard_streams(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0) (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

static lgt_status find_verb(const char *name, const cli_verb **verb, lgt_error *err) {
    cli_nearest nearest = {.word = name};
    for (int i = 0; cli_verbs[i]; i++) {
        *verb = cli_verbs[i];
        if (strcmp(name, cli_verbs[i]->name) == 0) return LGT_OK;
        cli_nearest_try(&nearest, cli_verbs[i]->name);
    }
    cli_nearest_try(&nearest, "help");
    cli_nearest_try(&nearest, "--help");
    cli_nearest_try(&nearest, "--version");
    const char *hint = cli_nearest_hint(&nearest, "");
    const char *kind = name[0] == '-' ? "option" : "verb";
    return cli_fail(err, LGT_ERR_USAGE, "unknown %s '%.60s'%s", kind, name, *hint ? hint : "; see 'logitude --help'");
}

static lgt_status run_verb(const char *name, int argc, char **argv, lgt_error *err) {
    const cli_verb *verb = NULL;
    cli_args args;
    lgt_status status = find_verb(name, &verb, err);
    if (status) return status;
    status = cli_args_parse(verb, argc, argv, &args, err);
    if (!status && args.help && cli_is_first())
        cli_help_verb(verb);
    else if (!status && !args.help && (cli_is_first() || verb->is_shared))
        status = verb->run(&args, err);
    cli_args_free(&args);
    return status;
}

static int asks_for_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static lgt_status run(int argc, char **argv, lgt_error *err) {
    static char help[] = "--help";
    char *help_args[] = {help};
    if (argc < 2) return cli_fail(err, LGT_ERR_USAGE, "a verb is missing; see 'logitude --help'");
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0) {
        if (cli_is_first()) printf("logitude %s\n", lgt_version());
    } else if (asks_for_help(word)) {
        if (argc > 3) return cli_fail(err, LGT_ERR_USAGE, "help takes one verb, found '%.60s'", argv[3]);
        if (argc == 3 && !asks_for_help(argv[2])) return run_verb(argv[2], 1, help_args, err);
        if (cli_is_first()) cli_help_program();
    } else {
        return run_verb(word, argc - 2, argv + 2, err);
    }
    return LGT_OK;
}

static int exit_code(lgt_status status) {
    if (status == LGT_ERR_UNSUPPORTED) return LGT_ERR_USAGE;
    if (status == LGT_ERR_INTERRUPTED) return 128 + (cli_signal_caught() ? cli_signal_caught() : SIGINT);
    return (int)status;
}

int main(int argc, char **argv) {
    lgt_error err = {LGT_OK, ""}, close_err = {LGT_OK, ""};
    occupy_standard_streams();
    cli_signals_ignore_writes();
    lgt_status status = run(argc, argv, &err);
    lgt_status closed = cli_stdout_close(&close_err);
    /* What all ranks have agreed on the first one says; a rank that was lost may be that one. */
    if (status && (cli_is_first() || status == LGT_ERR_COMM)) cli_say(err.message);
    if (closed) cli_say(close_err.message);
    if (!status) status = closed;
    cli_ranks_leave(status, exit_code(status));
    cli_exit(exit_code(status));
}
