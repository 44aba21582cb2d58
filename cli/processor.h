/* The processor that the program runs on. */
#ifndef LGT_CLI_PROCESSOR_H
#define LGT_CLI_PROCESSOR_H

enum { CLI_PROCESSOR_NAME = 96 };

/* "Intel(R) Xeon(R) Processor", or "" where the system does not tell. */
void cli_processor_name(char out[CLI_PROCESSOR_NAME]);

/* How many processors this process may run on. */
int cli_processors(void);

#endif
