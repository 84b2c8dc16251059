/* How many pixels are above a level.
   in:  pixels (frames, count) T; mask (count) uchar; least (1) LEVEL: the smallest value above the level
   out: per frame and part: counts uint
   Launch: parts and frames, as in common.cl.
   Reference: accel.shipped.hits.reference */
#if KIND == 2
typedef float LEVEL;
#else
typedef uint LEVEL;
#endif
__kernel void hits(__global const T *restrict pixels, __global const uchar *restrict mask, __global const LEVEL *restrict least, const uint count,
                   __global uint *restrict counts)
{
    const uint part = PART, parts = PARTS, frame = FRAME;
    const LEVEL bound = least[0];
    uint found = 0;
    EACH_BLOCK(from, length, part, parts, count) {
        __global const T *restrict p = pixels + (size_t)frame * count + from;
        __global const uchar *restrict m = mask + from;
        uint n = 0;
        for (int i = 0; i < (int)length; i++) {
            const T x = p[i * STEP];
            n += OWN(x) & (m[i * STEP] == 0) & ((LEVEL)x >= bound);
        }
        found += n;
    }
    counts[(size_t)frame * parts + part] = found;
}
