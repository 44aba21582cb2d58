/* What explain prints: records of rows, a table of a few, a summary of many. */
#ifndef LGT_CLI_EXPLAIN_REPORT_H
#define LGT_CLI_EXPLAIN_REPORT_H

#include <jansson.h>

#include "logitude/logitude.h"

typedef struct cli_explained {
    int64_t n, dim, n_pushers;
    const int64_t *rows;   /* (n) */
    const int64_t *labels; /* of all rows; NULL: soft targets */
    int64_t ignore_label;
    char *const *names; /* of the classes; NULL: they have none */
    lgt_explanation told;
} cli_explained;

/* A number that every row has. */
typedef struct cli_explain_field {
    const char *key, *file; /* in JSON; in the folder of --out */
    const char *title;      /* in the summary; NULL: not there */
    size_t offset;          /* of the array in lgt_explanation */
} cli_explain_field;

enum { CLI_EXPLAIN_FIELDS = 20 };
extern const cli_explain_field cli_explain_fields[CLI_EXPLAIN_FIELDS];

/* The member of lgt_explanation that the field stands for. */
double **cli_explain_array(lgt_explanation *told, const cli_explain_field *field);

json_t *cli_explain_rows(const cli_explained *explained);
json_t *cli_explain_summary(const cli_explained *explained);

void cli_explain_print_rows(const cli_explained *explained);
void cli_explain_print_summary(const json_t *summary);

#endif
