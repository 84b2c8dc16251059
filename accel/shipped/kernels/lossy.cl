/* Pixels in steps of WIDTH counts, which is compiled in; markers and gaps stay as they are.
   in:  pixels (frames, count) T; mask (count) uchar
   out: found (frames, count) Q: int for floating point, T otherwise; per frame and part: lost uint, values that do not fit
   Launch: parts and frames, as in common.cl.
   Reference: accel.shipped.lossy.reference */
#if KIND == 2
typedef int Q;
#define GAP INT_MIN
#define FITS(x) (fabs((x) / WIDTH) < 2147483647.0)
#define STEPPED(x) convert_int_sat_rte((x) / WIDTH)
#else
typedef T Q;
#define STEPPED(x) ((Q)(((x) / WIDTH) + ((x) % WIDTH > WIDTH / 2)))
#define GAP x
#define FITS(x) 1
#endif
__kernel void lossy(__global const T *restrict pixels, __global const uchar *restrict mask, const uint count,
                    __global Q *restrict found, __global uint *restrict lost)
{
    const uint part = PART, parts = PARTS, frame = FRAME;
    const size_t base = (size_t)frame * count;
    uint gone = 0;
    EACH_BLOCK(from, length, part, parts, count) {
        __global const T *restrict p = pixels + base + from;
        __global Q *restrict out = found + base + from;
        for (int i = 0; i < (int)length; i++) {
            const T x = p[i * STEP];
            const int fits = FITS(x);
            out[i * STEP] = OWN(x) & fits ? STEPPED(x) : GAP;
            gone += OWN(x) & !fits;
        }
    }
    lost[(size_t)frame * parts + part] = gone;
}
