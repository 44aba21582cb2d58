/* Writes the manual pages logitude.1 and logitude-VERB.1 into a folder, from the option tables: a step of the build. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "help.h"
#include "logitude/version.h"
#include "verbs.h"

/* Text as roff prints it: a hyphen that is a minus, no escape, no request at the start of a line. */
static void put(FILE *page, const char *text) {
    int at_start = 1;
    for (; *text; text++) {
        if (at_start && (*text == '.' || *text == '\'')) fputs("\\&", page);
        at_start = *text == '\n';
        if (*text == '\\')
            fputs("\\e", page);
        else if (*text == '-')
            fputs("\\-", page);
        else if (*text == '\'')
            fputs("\\(aq", page);
        else if (*text == '^')
            fputs("\\(ha", page);
        else if (*text == '~')
            fputs("\\(ti", page);
        else
            fputc(*text, page);
    }
}

static void put_lines(FILE *page, const char *lines) {
    fputs(".nf\n", page);
    put(page, lines);
    fputs("\n.fi\n", page);
}

static void put_upper(FILE *page, const char *text) {
    for (; *text && *text != '('; text++) fputc(toupper((unsigned char)*text), page);
}

/* A section's title is in capitals, without what stands in parentheses. */
static void put_title(FILE *page, const char *title) {
    fputs(".SH ", page);
    put_upper(page, title);
    fputc('\n', page);
}

/* Everything up to the page's name. */
static void put_head(FILE *page, const char *verb) {
    fprintf(page, ".\\\" Made by the build from the option tables.\n.TH LOGITUDE%s", *verb ? "\\-" : "");
    put_upper(page, verb);
    fprintf(page, " 1 \"\" \"logitude %s\" \"User Commands\"\n.SH NAME\n", lgt_version());
}

static void put_option(FILE *page, const cli_option *option) {
    char text[1024], name[80];
    fputs(".TP\n", page);
    if (option->letter) fprintf(page, "\\fB\\-%c\\fR, ", option->letter);
    snprintf(name, sizeof name, "--%s", option->name);
    fputs("\\fB", page);
    put(page, name);
    fputs("\\fR", page);
    if (option->metavar) fprintf(page, " \\fI%s\\fR", option->metavar);
    fputc('\n', page);
    cli_option_describe(option, text, sizeof text);
    put(page, text);
    fputc('\n', page);
}

static void put_verb(FILE *page, const cli_verb *verb) {
    const char *group = "";
    put_head(page, verb->name);
    fprintf(page, "logitude\\-%s \\- ", verb->name);
    put(page, verb->summary);
    fprintf(page, "\n.SH SYNOPSIS\n\\fBlogitude %s\\fR ", verb->name);
    put(page, verb->usage);
    fputc('\n', page);
    for (int i = 0; cli_option_at(verb, i); i++) {
        const cli_option *option = cli_option_at(verb, i);
        if (strcmp(group, option->group) != 0) put_title(page, option->group);
        group = option->group;
        put_option(page, option);
    }
    put_title(page, "Notes");
    put_lines(page, cli_help_streams);
    if (verb->notes) put_lines(page, verb->notes);
    put_title(page, "Examples");
    put_lines(page, verb->examples);
    fputs(".SH SEE ALSO\n.BR logitude (1)\n", page);
}

static void put_program(FILE *page) {
    put_head(page, "");
    fputs("logitude \\- softmax\\-family classification heads with exact analytic gradients\n"
          ".SH SYNOPSIS\n\\fBlogitude\\fR \\fIVERB\\fR [options]\n.br\n\\fBlogitude help\\fR \\fIVERB\\fR\n.br\n"
          "\\fBlogitude \\-\\-version\\fR\n.SH VERBS\n",
          page);
    for (int i = 0; cli_verbs[i]; i++) {
        fprintf(page, ".TP\n.BR logitude\\-%s (1)\n", cli_verbs[i]->name);
        put(page, cli_verbs[i]->summary);
        fputc('\n', page);
    }
    for (const cli_help_section *section = cli_help_sections; section->title; section++) {
        put_title(page, section->title);
        put_lines(page, section->lines);
    }
}

/* The page of a verb, or of the program. */
static int write_page(const char *folder, const cli_verb *verb) {
    char path[4096];
    snprintf(path, sizeof path, "%s/logitude%s%s.1", folder, verb ? "-" : "", verb ? verb->name : "");
    FILE *page = fopen(path, "w");
    if (!page) return 1;
    if (verb)
        put_verb(page, verb);
    else
        put_program(page);
    int failed = ferror(page);
    return fclose(page) != 0 || failed;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fputs("usage: logitude_manual FOLDER\n", stderr);
        return 2;
    }
    int failed = write_page(argv[1], NULL);
    for (int i = 0; cli_verbs[i]; i++) failed |= write_page(argv[1], cli_verbs[i]);
    if (failed) fprintf(stderr, "%s: cannot write the manual pages\n", argv[1]);
    return failed ? 5 : 0;
}
