#pragma once
/* Functions we do without are compile errors: those that write without a bound (strcpy, sprintf),
 * keep hidden state (strtok, localtime) or cannot report an error (atoi).
 *
 * Poisoning a name also breaks a system header that declares it later on. So the headers that do
 * are read here first; their include guards make later inclusions harmless.
 * rand is missing because OpenSSL names parameters so; the layer check looks for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef sprintf /* a macro of glibc's where the compiler is clang and fortified */
#undef vsprintf
#pragma GCC poison strcpy stpcpy strcat strncat strncpy sprintf vsprintf strtok gets
#pragma GCC poison atoi atol atoll atof
#pragma GCC poison localtime gmtime ctime asctime
