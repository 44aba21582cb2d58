/* Asks the system for the processor's name, and the library how many there are to run on. */
#include "processor.h"

#include <stdio.h>

#include "logitude/logitude.h"

void cli_processor_name(char out[CLI_PROCESSOR_NAME]) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    out[0] = '\0';
    while (file && !*out && fgets(line, sizeof line, file)) sscanf(line, "model name : %95[^\n]", out);
    if (file) fclose(file);
}

int cli_processors(void) {
    lgt_context *probe = NULL;
    int count = lgt_context_create(NULL, &probe, NULL) ? 1 : lgt_context_threads(probe);
    lgt_context_free(probe);
    return count;
}
