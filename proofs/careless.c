/* What gcc's analyser, clang-tidy and cppcheck must each complain of: one mistake at a time,
 * here and where this file is included. */
#include <stdlib.h>

int careless(int number);

int careless(int number)
{
    int *copy = malloc(sizeof *copy);
    int result;

    if (copy == NULL) {
        return 0;
    }
    *copy = number;
#if defined NEVER_FREED
    result = *copy;
#elif defined USED_AFTER_FREE
    free(copy);
    result = *copy;
#elif defined FREED_TWICE
    result = *copy;
    free(copy);
    free(copy);
#else
    result = *copy;
    free(copy);
#endif
    return result;
}
