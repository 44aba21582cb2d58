/* Prints help, generated from the option tables. */
#include "help.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verbs.h"

enum { LEFT = 28, WIDTH = 100 };

void cli_print_wrapped(const char *text, int column, int left) {
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column + 1 + length > WIDTH && column > left) {
            printf("\n%*s", left, "");
            column = left;
        }
        if (column > left) column += printf(" ");
        column += printf("%.*s", length, text);
        text += length;
        text += strspn(text, " ");
    }
    printf("\n");
}

/* "1 to 1024", "at least 0", "sgd|adamw", or "" where everything is allowed. */
static void format_range(const cli_option *option, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    if (option->kind == CLI_CHOICE) {
        for (int i = 0; option->words[i] && used < size; i++)
            used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "|" : "", option->words[i]);
    } else if (option->kind == CLI_INTEGER || option->kind == CLI_REAL) {
        if (!isinf(option->greatest))
            snprintf(out, size, "%.16g to %s%.16g", option->least, option->marks & CLI_BELOW ? "below " : "",
                     option->greatest);
        else if (!isinf(option->least))
            snprintf(out, size, "at least %.16g", option->least);
    }
}

void cli_option_describe(const cli_option *option, char *out, size_t size) {
    char range[160], value[80] = "";
    format_range(option, range, sizeof range);
    if (option->default_text)
        snprintf(value, sizeof value, "default: %s%s%s", option->default_text, option->unit ? " " : "",
                 option->unit ? option->unit : "");
    else if (option->marks & CLI_REQUIRED)
        snprintf(value, sizeof value, "required");
    int both = *value && *range, none = !*value && !*range;
    snprintf(out, size, "%s%s%s%s%s%s", option->help, none ? "" : " [", value, both ? "; " : "", range,
             none ? "" : "]");
}

static void print_option(const cli_option *option) {
    char text[1024], letter[8] = "    ";
    cli_option_describe(option, text, sizeof text);
    if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
    int column = printf("  %s--%s%s%s", letter, option->name, option->metavar ? " " : "",
                        option->metavar ? option->metavar : "");
    if (column > LEFT - 2)
        column = printf("\n%*s", LEFT, "") - 1;
    else
        column += printf("%*s", LEFT - column, "");
    cli_print_wrapped(text, column, LEFT);
}

void cli_help_verb(const cli_verb *verb) {
    const char *group = "";
    printf("logitude %s: %s\n\nUsage: logitude %s %s\n", verb->name, verb->summary, verb->name, verb->usage);
    for (int i = 0; cli_option_at(verb, i); i++) {
        const cli_option *option = cli_option_at(verb, i);
        if (strcmp(group, option->group) != 0) printf("\n%s\n", option->group);
        group = option->group;
        print_option(option);
    }
    printf("\n%s\n", cli_help_streams);
    if (verb->notes) printf("\n%s\n", verb->notes);
    printf("\nExamples\n%s\n", verb->examples);
}

const char cli_help_streams[] = "In place of a file to read, - is standard input, once a command; within D too.";

const cli_help_section cli_help_sections[] = {
    {"Losses (--loss NAME[:key=value,...], see 'logitude losses')",
     "  arcface:s=64,m=0.5    margins are radians, or degrees as in m=28.6deg\n"},
    {"Data", "  fashion-mnist         Debian's dataset-fashion-mnist, or the folder $LOGITUDE_DATA\n"
             "  FOLDER                MNIST-named IDX files, or features.npy and labels.npy\n"
             "  FEATURES[,LABELS]     .npy, .npz, IDX, CSV, LIBSVM or safetensors, told by content; gzip is unpacked\n"
             "  -                     standard input, in place of any one file to read; of a file called - say ./-\n"},
    {"Environment", "  LOGITUDE_DATA         folder of Fashion-MNIST\n"
                    "  LOGITUDE_NUM_THREADS  threads, where --threads is not given\n"},
    {"Exit codes", "  0 done   1 internal error   2 usage   3 bad input data   4 not finite or diverged\n"
                   "  5 input or output   6 memory or limit   7 a check failed   10 another rank failed\n"
                   "  129, 130, 143, 152 interrupted\n"},
    {NULL, NULL}};

void cli_help_program(void) {
    printf("logitude: softmax-family classification heads with exact analytic gradients\n\n"
           "Usage: logitude VERB [options]\n"
           "       logitude help VERB\n"
           "       logitude --version\n\n"
           "Verbs\n");
    for (int i = 0; cli_verbs[i]; i++) printf("  %-10s %s\n", cli_verbs[i]->name, cli_verbs[i]->summary);
    printf("\nEvery verb takes --help, --json, --threads N, --config FILE, -q and -v.\n");
    for (const cli_help_section *section = cli_help_sections; section->title; section++)
        printf("\n%s\n%s", section->title, section->lines);
}
