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
