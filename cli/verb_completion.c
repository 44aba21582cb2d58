/* logitude completion: a shell's completion script, printed from the option tables. */
#include <stdio.h>
#include <string.h>

#include "help.h"
#include "logitude/logitude.h"
#include "output.h"
#include "verbs.h"

enum { WORDS_SIZE = 2048 };

/* --- What can stand where --- */

static void add_word(char *out, const char *word) {
    size_t used = strlen(out), length = strlen(word);
    if (used + length + 2 > WORDS_SIZE) cli_defect("words of a completion that are too long");
    if (used) out[used++] = ' ';
    memcpy(out + used, word, length + 1);
}

static void add_words(char *out, const char *const *words) {
    for (int i = 0; words && words[i]; i++) add_word(out, words[i]);
}

static void add_losses(char *out) {
    for (int i = 0; i < lgt_loss_count(); i++) add_word(out, lgt_loss_at(i)->name);
}

static void add_verbs(char *out) {
    for (int i = 0; cli_verbs[i]; i++) add_word(out, cli_verbs[i]->name);
}

static int option_takes_files(const cli_option *option) {
    return option->kind == CLI_INPUT || option->kind == CLI_OUTPUT || option->kind == CLI_FOLDER ||
           option->kind == CLI_DATA;
}

static int verb_takes_files(const cli_verb *verb) {
    return verb->max_words > 0 && !verb->words && !verb->takes_losses;
}

/* The words known for an option's value; files may do beside them. */
static const char *words_of_option(const cli_option *option, char *out) {
    out[0] = '\0';
    if (option->kind == CLI_CHOICE) add_words(out, option->words);
    if (strcmp(option->name, "loss") == 0) add_losses(out);
    if (option->kind == CLI_DATA) add_word(out, "fashion-mnist");
    return out;
}

static const char *words_of_verb(const cli_verb *verb, char *out) {
    out[0] = '\0';
    add_words(out, verb->words);
    if (verb->takes_losses) add_losses(out);
    return out;
}

static void options_of_verb(const cli_verb *verb, char *out) {
    out[0] = '\0';
    for (int i = 0; cli_option_at(verb, i); i++) {
        char name[64];
        snprintf(name, sizeof name, "--%s", cli_option_at(verb, i)->name);
        add_word(out, name);
    }
}

/* Prints the first clause of a help text, with a backslash before each of `special`; a quote as `quote` has it. */
static void print_clause(const char *text, const char *special, const char *quote) {
    for (; *text && *text != ';'; text++) {
        if (*text == '\'')
            printf("%s", quote);
        else
            printf("%s%c", strchr(special, *text) ? "\\" : "", *text);
    }
}

/* --- bash --- */

/* Behind an option stands its value; else an option, or a word of the verb. */
static void print_bash_verb(const cli_verb *verb) {
    char words[WORDS_SIZE];
    for (int i = 0; cli_option_at(verb, i); i++) {
        const cli_option *option = cli_option_at(verb, i);
        if (option->kind == CLI_FLAG) continue;
        printf("    %s/--%s) words='%s' files=%s ;;\n", verb->name, option->name, words_of_option(option, words),
               option_takes_files(option) ? "1" : "");
    }
    printf("    %s/*)\n", verb->name);
    if (verb->max_words)
        printf("        words='%s' files=%s\n        [[ $word != -* ]] ||", words_of_verb(verb, words),
               verb_takes_files(verb) ? "1" : "");
    else
        printf("       ");
    options_of_verb(verb, words);
    printf(" words='%s' files= ;;\n", words);
}

static void print_bash(void) {
    char verbs[WORDS_SIZE] = "";
    add_verbs(verbs);
    printf("# Completion of logitude for bash: source <(logitude completion bash)\n"
           "_logitude() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words= files=\n"
           "    # bash makes three words of --option=value\n"
           "    if [[ $word == = ]]; then word=\n"
           "    elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}\n"
           "    fi\n"
           "    local verb=${COMP_WORDS[1]}\n"
           "    ((COMP_CWORD > 1)) || verb=\n"
           "    case $verb/$before in\n"
           "    /*) words='%s help --help --version' ;;\n"
           "    help/*) words='%s' ;;\n",
           verbs, verbs);
    for (int i = 0; cli_verbs[i]; i++) print_bash_verb(cli_verbs[i]);
    printf(
        "    esac\n"
        "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\"; [[ ! $files ]] || compgen -f -- \"$word\")\n"
        "    [[ ! $files ]] || compopt -o filenames 2> /dev/null\n"
        "}\n"
        "complete -F _logitude logitude\n");
}

/* --- zsh --- */

static void print_zsh_action(const char *words, int files) {
    if (*words && files)
        printf("_logitude_data");
    else if (*words)
        printf("(%s)", words);
    else
        printf("%s", files ? "_files" : " ");
}

static void print_zsh_verb(const cli_verb *verb) {
    char words[WORDS_SIZE];
    printf("    %s)\n        _arguments", verb->name);
    for (int i = 0; cli_option_at(verb, i); i++) {
        const cli_option *option = cli_option_at(verb, i);
        printf(" \\\n            '");
        if (option->letter) printf("-%c[", option->letter), print_clause(option->help, "[]\\", "'\\''"), printf("]' '");
        printf("%s--%s%s[", option->marks & CLI_JOINED ? "*" : "", option->name, option->kind == CLI_FLAG ? "" : "=");
        print_clause(option->help, "[]\\", "'\\''");
        printf("]");
        if (option->kind != CLI_FLAG) {
            printf(":%s:", option->metavar);
            print_zsh_action(words_of_option(option, words), option_takes_files(option));
        }
        printf("'");
    }
    if (verb->max_words) {
        printf(" \\\n            '*:word:");
        print_zsh_action(words_of_verb(verb, words), verb_takes_files(verb));
        printf("'");
    }
    printf(" ;;\n");
}

static void print_zsh(void) {
    printf("#compdef logitude\n"
           "# Completion of logitude for zsh: this file as _logitude in a folder of $fpath\n"
           "_logitude_data() { _alternative 'words:data:(fashion-mnist)' 'files:file:_files' }\n"
           "_logitude() {\n"
           "    local -a verbs\n"
           "    verbs=(\n");
    for (int i = 0; cli_verbs[i]; i++) {
        printf("        '%s:", cli_verbs[i]->name);
        print_clause(cli_verbs[i]->summary, "\\", "'\\''");
        printf("'\n");
    }
    printf("    )\n"
           "    if ((CURRENT == 2)); then _describe verb verbs; return; fi\n"
           "    shift words\n"
           "    ((CURRENT--))\n"
           "    case $words[1] in\n"
           "    help) _describe verb verbs ;;\n");
    for (int i = 0; cli_verbs[i]; i++) print_zsh_verb(cli_verbs[i]);
    printf("    esac\n"
           "}\n"
           "if [[ $funcstack[1] == _logitude ]]; then _logitude \"$@\"; else compdef _logitude logitude; fi\n");
}

/* --- fish --- */

static void print_fish_verb(const cli_verb *verb) {
    char words[WORDS_SIZE], line[160];
    snprintf(line, sizeof line, "complete -c logitude -n '__fish_seen_subcommand_from %s'", verb->name);
    for (int i = 0; cli_option_at(verb, i); i++) {
        const cli_option *option = cli_option_at(verb, i);
        printf("%s -l %s", line, option->name);
        if (option->letter) printf(" -s %c", option->letter);
        if (option->kind != CLI_FLAG) printf(option_takes_files(option) ? " -r -F" : " -x");
        if (*words_of_option(option, words)) printf(" -a '%s'", words);
        printf(" -d '");
        print_clause(option->help, "\\", "\\'");
        printf("'\n");
    }
    if (!verb->max_words) return;
    if (verb_takes_files(verb))
        printf("%s -F\n", line);
    else
        printf("%s -a '%s'\n", line, words_of_verb(verb, words));
}

static void print_fish(void) {
    char verbs[WORDS_SIZE] = "";
    add_verbs(verbs);
    printf("# Completion of logitude for fish: logitude completion fish > ~/.config/fish/completions/logitude.fish\n"
           "complete -c logitude -f\n"
           "complete -c logitude -n __fish_use_subcommand -a help -d 'the help of a verb'\n"
           "complete -c logitude -n __fish_use_subcommand -l help -d 'print the help'\n"
           "complete -c logitude -n __fish_use_subcommand -l version -d 'print the version'\n"
           "complete -c logitude -n '__fish_seen_subcommand_from help' -a '%s'\n",
           verbs);
    for (int i = 0; cli_verbs[i]; i++) {
        printf("complete -c logitude -n __fish_use_subcommand -a %s -d '", cli_verbs[i]->name);
        print_clause(cli_verbs[i]->summary, "\\", "\\'");
        printf("'\n");
    }
    for (int i = 0; cli_verbs[i]; i++) print_fish_verb(cli_verbs[i]);
}

static const char *const shells[] = {"bash", "zsh", "fish", NULL};
static void (*const prints[])(void) = {print_bash, print_zsh, print_fish};

static lgt_status run(const cli_args *args, lgt_error *err) {
    if (!args->word) return cli_fail(err, LGT_ERR_USAGE, "completion needs a shell: logitude completion bash|zsh|fish");
    if (cli_flag(args, "json"))
        return cli_fail(err, LGT_ERR_USAGE, "--json has no object here: completion prints a script");
    for (int i = 0; shells[i]; i++) {
        if (strcmp(args->word, shells[i]) != 0) continue;
        prints[i]();
        return LGT_OK;
    }
    return cli_fail(err, LGT_ERR_USAGE, "the shell is '%.60s', expected one of bash, zsh, fish", args->word);
}

const cli_verb cli_verb_completion = {
    .name = "completion",
    .summary = "prints a script that completes verbs, options and choices in a shell",
    .usage = "bash|zsh|fish [options]",
    .examples = "  logitude completion bash > ~/.local/share/bash-completion/completions/logitude\n"
                "  logitude completion zsh > ~/.zfunc/_logitude\n"
                "  logitude completion fish > ~/.config/fish/completions/logitude.fish",
    .words = shells,
    .max_words = 1,
    .run = run,
};
