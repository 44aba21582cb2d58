/* What a file is, by its first bytes, unpacked where they are gzip. */
#ifndef LGT_CLI_FILE_KIND_H
#define LGT_CLI_FILE_KIND_H

typedef enum cli_file_kind { CLI_FILE_OTHER, CLI_FILE_SAFETENSORS, CLI_FILE_ZIP, CLI_FILE_LIBLINEAR } cli_file_kind;

/* OTHER also where the file cannot be read: the reader that comes next says why. */
cli_file_kind cli_file_kind_of(const char *path);

#endif
