/* What gcc's analyser, clang-tidy and cppcheck must each complain of: nothing is freed. */
#include <stdlib.h>

int careless(int number);

int careless(int number)
{
    int *copy = malloc(sizeof *copy);

    if (copy == NULL) {
        return 0;
    }
    *copy = number;
    return *copy;
}
