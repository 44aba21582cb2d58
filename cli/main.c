#include "logitude/context.h"
int main(void) { return 0; }
