/* Included into every library: refuses options that would change what its arithmetic means, wherever a compiler has them
   from, such as a script in front of it. */
#include <float.h>
#if defined __FAST_MATH__ || defined __ASSOCIATIVE_MATH__ || defined __RECIPROCAL_MATH__ || defined __NO_SIGNED_ZEROS__
#error "the compiler was told to use fast and loose arithmetic (such as -ffast-math or -Ofast), which optdsl must not"
#elif defined __FINITE_MATH_ONLY__ && __FINITE_MATH_ONLY__
#error "the compiler was told that numbers are finite (-ffinite-math-only), which optdsl must not assume"
#elif FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD < 3
#error "the compiler computes in more precision than numbers have (such as by -mfpmath=387), which optdsl must not"
#endif
