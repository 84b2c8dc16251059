/* Defined when it is compiled: T (type of a pixel), KIND (0 unsigned, 1 signed, 2 floating point), WIDE (1 for 4 bytes), MARK (the marker of unsigned pixels),
   SMALLEST and LARGEST (of T), SHAPE. Loops over pixels are of one form that compilers turn into vector instructions: an int from 0, plain pointers, ?: for min. */
#pragma OPENCL EXTENSION cl_khr_fp64 : enable

/* 1 for a pixel that has a value of its own: no marker, no gap, finite. */
#if KIND == 0
#define OWN(x) ((x) != MARK)
#elif KIND == 1
#define OWN(x) ((x) >= 0)
#else
#define OWN(x) (isfinite(x) != 0)
#endif
#if KIND == 2
typedef double SUM;
#else
typedef long SUM;
#endif

/* The pixels of a part, in blocks that fit the nearest cache and 32-bit sums. SHAPE 0: a run of them (caches of a CPU); SHAPE 1: every parts-th one (memory of
   a GPU). EACH_BLOCK(from, length, ...) { for (int i = 0; i < length; i++) pixel number from + i * STEP } */
#define BLOCK 4096
#if SHAPE == 0
/* the same part of all frames one after the other: what is the same for all of them stays in the caches */
#define FRAME get_global_id(0)
#define PART get_global_id(1)
#define PARTS get_global_size(1)
#define STEP 1
#define FIRST(part, parts, count) min((part) * (((count) + (parts) - 1) / (parts)), (count))
#define NUMBER(part, parts, count) (FIRST((part) + 1, parts, count) - FIRST(part, parts, count))
#else
#define PART get_global_id(0)
#define PARTS get_global_size(0)
#define FRAME get_global_id(1)
#define STEP ((int)get_global_size(0))
#define FIRST(part, parts, count) (part)
#define NUMBER(part, parts, count) ((part) < (count) ? ((count) - (part) + (parts) - 1) / (parts) : 0)
#endif
#define EACH_BLOCK(from, length, part, parts, count) \
    for (uint done_ = 0, all_ = NUMBER(part, parts, count), from = FIRST(part, parts, count), length = min((uint)BLOCK, all_); done_ < all_; \
         done_ += BLOCK, from += BLOCK * STEP, length = min((uint)BLOCK, all_ - done_))
