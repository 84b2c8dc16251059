/* What all kernels share. T is the type of a pixel, KIND 0 for unsigned, 1 for signed, 2 for floating point, MARK the overflow marker of unsigned ones. */
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#if KIND == 0
#define OWN(x) ((x) != (T)MARK)
#elif KIND == 1
#define OWN(x) ((x) >= 0)
#else
#define OWN(x) (isfinite(x))
#endif
#if KIND == 2
typedef double SUM;
#else
typedef long SUM;
#endif
/* The pixels of a part. SHAPE 0: a run of them (caches of a CPU); SHAPE 1: every parts-th one (memory of a GPU). */
#if SHAPE == 0
#define RUN(parts, count) (((count) + (parts) - 1) / (parts))
#define EACH_OF_PART(i, part, parts, count) \
    for (uint i = min((part) * RUN(parts, count), (count)), end_of_##i = min(i + RUN(parts, count), (count)); i < end_of_##i; i++)
#else
#define EACH_OF_PART(i, part, parts, count) for (uint i = (part); i < (count); i += (parts))
#endif
